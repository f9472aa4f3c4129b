#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <boost/json/object.hpp>

#include <gtest/gtest.h>
#include "base/limits.h"
#include "daemon/metrics.h"

namespace sallyport::daemon {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using namespace std::chrono_literals;

class MetricsServerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    // A port that was free just now.
    {
      tcp::acceptor free(io_, tcp::endpoint(asio::ip::address_v4::loopback(), 0));
      port_ = free.local_endpoint().port();
    }
    auto opened =
        MetricsServer::open(io_.get_executor(), {dns::Ip::v4({127, 0, 0, 1}), port_},
                            [](const std::function<void(const boost::json::object&)>& done) { done({}); });
    ASSERT_TRUE(opened) << opened.error().text;
    server_ = std::move(*opened);
  }
  void TearDown() override {
    server_.reset();
    io_.run_for(100ms);
  }
  // A client from 127.0.0.`host` that sends nothing.
  void come(std::uint8_t host) {
    tcp::socket peer(io_, tcp::endpoint(asio::ip::address_v4({127, 0, 0, host}), 0));
    peer.connect({asio::ip::address_v4::loopback(), port_});
    peers_.push_back(std::move(peer));
    io_.run_for(20ms);
  }
  bool is_closed(std::size_t number) {
    peers_[number].non_blocking(true);
    char byte = 0;
    boost::system::error_code error;
    peers_[number].read_some(asio::buffer(&byte, 1), error);
    return error && error != asio::error::would_block;
  }

  asio::io_context io_;
  std::uint16_t port_ = 0;
  std::unique_ptr<MetricsServer> server_;
  std::vector<tcp::socket> peers_;
};

TEST_F(MetricsServerTest, an_address_has_its_share_and_not_one_more) {
  for (std::size_t i = 0; i <= limits::kMetricsClientsPerAddressMax; ++i) come(1);
  EXPECT_FALSE(is_closed(limits::kMetricsClientsPerAddressMax - 1));
  EXPECT_TRUE(is_closed(limits::kMetricsClientsPerAddressMax));
  come(2);
  EXPECT_FALSE(is_closed(limits::kMetricsClientsPerAddressMax + 1));
}

TEST_F(MetricsServerTest, when_all_places_are_taken_the_address_with_most_loses_its_oldest_client) {
  for (std::size_t i = 0; i < limits::kMetricsClientsMax; ++i)
    come(static_cast<std::uint8_t>(1 + i / limits::kMetricsClientsPerAddressMax));
  EXPECT_FALSE(is_closed(0));
  come(100);
  EXPECT_TRUE(is_closed(0));
  EXPECT_FALSE(is_closed(limits::kMetricsClientsMax));
  asio::write(peers_.back(), asio::buffer(std::string("GET /livez HTTP/1.1\r\n\r\n")));
  io_.run_for(100ms);
  EXPECT_GT(peers_.back().available(), 0U);
}

}  // namespace
}  // namespace sallyport::daemon
