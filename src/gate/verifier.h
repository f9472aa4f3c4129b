// Questions to authoritative servers about keys that peers showed (XEP-0220 2.1.1 step 2): which are out, on
// which streams, and whose turn it is. Each pair has one stream for its questions, never the one that a key
// came on, and it ends with the last of them.
//
// Questions are bounded in all; no asking address and no domain that is asked about holds more than its
// share, and the one that holds most loses its oldest question first. Pure; one for each endpoint.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/result.h"
#include "base/ring.h"
#include "base/shares.h"
#include "gate/event.h"
#include "s2s/dialback.h"

namespace sallyport::gate {

using xmpp::Pair;

// A key that somebody showed on the stream `asker`, whose id is `stream_id`.
struct KeyQuestion {
  ConnId asker;
  Pair pair;
  std::string stream_id;
  std::string key;
};

class Verifier {
 public:
  // By the asker's address, and by the parent of the domain that the key speaks for.
  using Memory = Shares<std::uint64_t, 2>;
  using Keys = Memory::Keys;

  explicit Verifier(const Memory::Bounds& bounds) : memory_(bounds) {}

  // Asks, on the pair's stream. Where it has none, `open` begins one and names its connection, or says why
  // there can be none; `questions` has the questions for it then.
  void ask(KeyQuestion question, const Keys& keys, const std::function<Result<ConnId>(const Pair&)>& open);
  // All that is to be asked on a stream, which is connected now.
  std::vector<KeyQuestion> questions(ConnId conn) const;
  // The authoritative server answered on the stream.
  void handle_answer(ConnId conn, const Pair& pair, const std::string& stream_id,
                     Result<s2s::VerifyAnswer> answer);
  // The stream is over: its questions fail.
  void handle_end(ConnId conn, const Error& error);

  // Ask on this stream if it is connected; if it is not, `questions` will have it.
  struct Ask {
    ConnId conn;
    KeyQuestion question;
  };
  struct Answer {
    KeyQuestion question;
    Result<s2s::VerifyAnswer> answer;
  };
  // Nothing is asked on the stream any more. With an error it is to end at once.
  struct Close {
    ConnId conn;
    std::optional<Error> error;
  };
  using Output = std::variant<Ask, Answer, Close>;
  std::optional<Output> poll();

 private:
  struct Asked {
    std::uint64_t number;
    KeyQuestion question;
    Memory::Part part;
  };
  struct Stream {
    Pair pair;
    std::vector<Asked> asked;
  };

  bool make_room(const Keys& keys);
  bool give_up(std::uint64_t number);
  void forget_stream(ConnId conn);

  Memory memory_;
  std::map<Pair, ConnId> by_pair_;
  std::map<ConnId, Stream> streams_;
  std::map<std::uint64_t, ConnId> by_number_;
  std::uint64_t last_number_ = 0;
  Ring<Output> outputs_;
};

}  // namespace sallyport::gate
