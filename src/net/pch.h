// What the files of this layer include anyway; only saves the compiler from reading it again.
#include "../../cmake/pch.h"

#include <boost/asio.hpp>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
