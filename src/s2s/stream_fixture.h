// For tests only: a stream for the tests of its parts, and proofs without a handshake.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "s2s/dialogue.h"
#include "s2s/session.h"

namespace sallyport::s2s::dialogue {

// A proof by a certificate that names the pair's remote domain.
inline PeerProof proof(const Pair& p) {
  return *CertificateIdentity::prove(p, facts({p.remote.ascii()}), Method::kExternal);
}
inline xmpp::Stanza stanza(const std::string& from, const std::string& to) {
  xmpp::StanzaReader reader;
  return *reader.read("<message id='7' from='" + from + "' to='" + to + "'><body>hi</body></message>");
}

// A stream whose events go nowhere; it remembers how it ended.
class LoneStream final : private StreamHandler {
 public:
  explicit LoneStream(Phase phase = Phase::kReady) : stream(*this, phase, Time(1h)) {}

  Stream stream;
  bool ended = false;
  std::optional<Error> end{};

 private:
  void handle_header(const xmpp::StreamHeader&) override {}
  void handle_element(const xmpp::Element&) override {}
  void handle_stanza(xmpp::Stanza) override {}
  void handle_bad_stanza(xmpp::BadStanza) override {}
  void write_header() override { stream.output().open({"local.example", {}, {}, {}}); }
  void write_before_footer() override {}
  void handle_end(std::optional<Error> error) override {
    ended = true;
    end = std::move(error);
  }
  bool has_outputs() const override { return false; }
};

}  // namespace sallyport::s2s::dialogue
