// A map with a Pair as key.
#pragma once

#include "base/index.h"
#include "xmpp/jid.h"

namespace sallyport::xmpp {

template <typename T>
using PairMap = IndexedMap<Pair, T>;

}  // namespace sallyport::xmpp
