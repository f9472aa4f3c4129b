// The handshake of a link: pinned keys, shards.
#include "net/tls_fixture.h"

namespace sallyport::net {
namespace {

class LinkTlsTest : public ::testing::Test {
 protected:
  struct TestNode {
    IdentityPem identity = *make_identity("node", civil_now());
    std::unique_ptr<LinkTls> tls = *LinkTls::make(identity.certificate, identity.key);
  };
  TestNode core_, edge_, stranger_;
};

TEST_F(LinkTlsTest, both_ends_prove_a_pinned_key) {
  EXPECT_EQ(core_.tls->pin(), core_.identity.pin);
  EXPECT_EQ(*certificate_pin(core_.identity.certificate), core_.identity.pin);
  EXPECT_EQ(*private_key_pin(core_.identity.key), core_.identity.pin);
  struct Row {
    const char* name;
    std::vector<std::vector<std::string>> edge_pins;
    std::vector<std::string> core_pins;
    bool edge_good, core_good;
  } rows[] = {
      {"both", {{"sha256:x"}, {"sha256:y", core_.identity.pin}}, {edge_.identity.pin}, true, true},
      {"the edge does not know the core", {{stranger_.identity.pin}}, {edge_.identity.pin}, false, true},
      {"the core does not know the edge", {{core_.identity.pin}}, {stranger_.identity.pin}, false, false},
      {"no pins", {}, {}, false, false},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.name);
    SocketPair pair;
    auto accepting = edge_.tls->accept(pair.ends[0], row.edge_pins);
    auto dialling = core_.tls->connect(pair.ends[1], row.core_pins);
    EXPECT_EQ(shake(*accepting, *dialling), row.edge_good && row.core_good);
    if (row.edge_good) {
      EXPECT_EQ(accepting->pinned_row(), 1U);
      EXPECT_EQ(accepting->facts().version, "TLSv1.3");
    } else if (row.core_good) {
      EXPECT_EQ(accepting->error().code, Code::kTlsPin);
      EXPECT_EQ(accepting->error().text, "the key of the core has the pin " + core_.identity.pin);
      // The core considered its handshake complete and learns the reason when it reads.
      char byte = 0;
      EXPECT_EQ(dialling->read(&byte, 1).step, TlsStep::kFailed);
      EXPECT_EQ(dialling->error().code, Code::kTlsPinRefused) << dialling->error().text;
      EXPECT_TRUE(dialling->error().text.starts_with("the edge rejected the key of this node, pin " +
                                                     core_.identity.pin))
          << dialling->error().text;
    } else {
      EXPECT_EQ(dialling->error().code, Code::kTlsPin);
      EXPECT_EQ(accepting->error().code, Code::kTlsPinRefused) << accepting->error().text;
    }
  }
}

TEST_F(LinkTlsTest, a_client_without_certificate_or_with_tls_1_2_is_refused) {
  for (int version_max : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    SocketPair pair;
    std::vector<std::vector<std::string>> pins{{core_.identity.pin}};
    auto accepting = edge_.tls->accept(pair.ends[0], pins);
    OpensslPtr<SSL_CTX, SSL_CTX_free> context(SSL_CTX_new(TLS_client_method()));
    SSL_CTX_set_max_proto_version(context.get(), version_max);
    OpensslPtr<SSL, SSL_free> other(SSL_new(context.get()));
    SSL_set_fd(other.get(), pair.ends[1]);
    TlsStep step = TlsStep::kWantRead;
    for (int round = 0; round < 10 && step == TlsStep::kWantRead; ++round) {
      SSL_connect(other.get());
      step = accepting->handshake();
    }
    EXPECT_EQ(step, TlsStep::kFailed);
  }
}

TEST_F(LinkTlsTest, a_shard_names_itself_and_is_refused_where_there_is_none_of_its_number) {
  struct Row {
    link::Shard core, edge;
    bool good;
  } rows[] = {
      {{0, 1}, {0, 1}, true},    {{0, 1}, {0, 2}, true},  {{0, 2}, {0, 1}, true},  {{1, 2}, {0, 2}, true},
      {{15, 16}, {0, 16}, true}, {{1, 2}, {0, 1}, false}, {{2, 3}, {0, 2}, false},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(link::alpn_of(row.core) + " to one of " + std::to_string(row.edge.count));
    auto core = *LinkTls::make(core_.identity.certificate, core_.identity.key, row.core);
    auto edge = *LinkTls::make(edge_.identity.certificate, edge_.identity.key, row.edge);
    SocketPair pair;
    std::vector<std::vector<std::string>> edge_pins{{core_.identity.pin}};
    std::vector<std::string> core_pins{edge_.identity.pin};
    auto accepting = edge->accept(pair.ends[0], edge_pins);
    auto dialling = core->connect(pair.ends[1], core_pins);
    EXPECT_EQ(shake(*accepting, *dialling), row.good);
    if (row.good) {
      EXPECT_EQ(accepting->link_shard(), row.core);
    } else {
      EXPECT_EQ(accepting->error().code, Code::kLinkShard);
      EXPECT_EQ(dialling->error().code, Code::kLinkShard);
    }
  }
}

TEST_F(LinkTlsTest, an_edge_that_knows_of_no_shards_is_for_the_first_alone) {
  for (std::size_t number : {0U, 1U}) {
    auto core = *LinkTls::make(core_.identity.certificate, core_.identity.key, {number, 2});
    SocketPair pair;
    std::vector<std::string> core_pins{edge_.identity.pin};
    auto dialling = core->connect(pair.ends[1], core_pins);
    OpensslPtr<SSL_CTX, SSL_CTX_free> context(SSL_CTX_new(TLS_server_method()));
    auto identity = *Credential::parse(edge_.identity.certificate, edge_.identity.key);
    SSL_CTX_use_cert_and_key(context.get(), identity->leaf(), identity->key(), nullptr, 1);
    OpensslPtr<SSL, SSL_free> old(SSL_new(context.get()));
    SSL_set_fd(old.get(), pair.ends[0]);
    TlsStep step = TlsStep::kWantRead;
    for (int round = 0; round < 10 && step == TlsStep::kWantRead; ++round) {
      step = dialling->handshake();
      SSL_accept(old.get());
    }
    EXPECT_EQ(step, number == 0 ? TlsStep::kDone : TlsStep::kFailed);
    if (number > 0) {
      EXPECT_EQ(dialling->error().code, Code::kLinkShard);
    }
  }
}

}  // namespace
}  // namespace sallyport::net
