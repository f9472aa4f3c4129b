// DNS questions for SRV and addresses through libunbound, with a deadline, validated when there is a trust
// anchor. Answers are dns/records values. libunbound has the cache, in memory, by TTL.
//
// One Resolver belongs to one executor of one thread and is used only there; libunbound's own thread
// talks to it through a descriptor.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>

#include "base/limits.h"
#include "base/result.h"
#include "base/shares.h"
#include "dns/records.h"
#include "route/static_route.h"

struct ub_ctx;
struct ub_result;

namespace sallyport::net {

namespace asio = boost::asio;

// [resolver] in edge.toml.
struct ResolverSetup {
  std::vector<route::HostPort> servers;  // IP addresses; empty: /etc/resolv.conf and /etc/hosts
  std::string trust_anchor;              // path; empty: no validation, every answer is insecure
  std::vector<std::string> insecure;     // no validation at and below these names
};

// Shared: Questions keep it alive, so that it can be replaced while they are under way.
class Resolver : public std::enable_shared_from_this<Resolver> {
  struct Pending;

 public:
  // Errors: kConfigValue (a server that is not an IP address, an unusable name), kFileUnreadable (trust
  // anchor, resolv.conf), kInternal.
  static Result<std::shared_ptr<Resolver>> make(asio::any_io_executor executor, const ResolverSetup& setup);
  // Ends libunbound's thread.
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  // Several questions at once, awaited together by one coroutine. Destroying it withdraws unanswered ones. At
  // most limits::kDnsQuestionsMax are under way in one Resolver, and at most limits::kDnsQuestionsPerZoneMax
  // for one zone; one more fails at once. When all places are taken, a zone that has fewer displaces the
  // oldest question of the zone that has most, which fails.
  class Questions {
   public:
    using Clock = std::chrono::steady_clock;
    // `domain`: the remote domain that they are asked for. They count for its zone, the last two labels,
    // whatever names they ask for. Empty: for none.
    explicit Questions(Resolver& resolver, std::string_view domain = {});
    ~Questions();
    Questions(const Questions&) = delete;
    Questions& operator=(const Questions&) = delete;

    // Returns the number of the answer. A question fails if it is not answered within limits::kDnsTimeout, or
    // by `deadline`.
    std::size_t ask(const std::string& name, dns::RecordType type, Clock::time_point deadline);
    bool is_done(std::size_t question) const;
    bool is_all_done() const;
    // Returns when one more question than before is done, when all are, or at `until`.
    asio::awaitable<void> wait(Clock::time_point until);
    // Returns when every question is done.
    asio::awaitable<void> wait_all();

    // The answer to a question of that type; a failure while there is none.
    const dns::SrvAnswer& srv(std::size_t question) const;
    const dns::AddressAnswer& addresses(std::size_t question) const;

   private:
    friend class Resolver;
    std::size_t done_count() const;
    void expire(Clock::time_point now);

    std::shared_ptr<Resolver> resolver_;
    std::string zone_;
    asio::steady_timer wake_;
    std::vector<std::unique_ptr<Pending>> asked_;
  };

 private:
  struct ContextEnd {
    void operator()(ub_ctx* context) const;
  };
  using Context = std::unique_ptr<ub_ctx, ContextEnd>;
  using Places = Shares<Pending*>;

  static Result<void> configure(ub_ctx* context, const ResolverSetup& setup);
  Resolver(asio::any_io_executor executor, Context context, int fd);
  // Waits for libunbound's descriptor only while a question is under way: an idle resolver keeps no executor
  // alive.
  void listen();
  void begin(Pending& pending);
  Result<void> take_place(Pending& pending);
  void withdraw(Pending& pending);
  static void answered(void* pending, int error, ub_result* result);

  asio::any_io_executor executor_;
  Context context_;
  asio::posix::stream_descriptor ready_;
  // Handlers of the descriptor check here whether the Resolver still exists.
  std::shared_ptr<Resolver*> self_;
  bool listening_ = false;
  std::size_t under_way_ = 0;
  Places places_{{limits::kDnsQuestionsMax, {limits::kDnsQuestionsPerZoneMax}}};
};

}  // namespace sallyport::net
