#include "net/resolver.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <unbound.h>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/limits.h"
#include "dns/trust_anchor.h"
#include "net/file.h"

namespace sallyport::net {
namespace {

constexpr int kClassIn = 1;

struct ResultEnd {
  void operator()(ub_result* result) const { ub_resolve_free(result); }
};
using Answer = std::unique_ptr<ub_result, ResultEnd>;

dns::LookupOutcome outcome(const ub_result& result) {
  if (result.bogus != 0) return dns::LookupOutcome::kBogus;
  if (result.havedata != 0) return dns::LookupOutcome::kFound;
  if (result.nxdomain != 0) return dns::LookupOutcome::kNoName;
  return result.rcode == 0 ? dns::LookupOutcome::kNoData : dns::LookupOutcome::kFailure;
}

std::string outcome_text(const ub_result& result) {
  if (result.bogus != 0) return result.why_bogus != nullptr ? result.why_bogus : "validation failed";
  if (result.havedata != 0 || result.nxdomain != 0 || result.rcode == 0) return {};
  if (result.rcode == 2) return "SERVFAIL, or the resolver does not answer";
  return fmt::format("RCODE {}", result.rcode);
}

// Parses each record with `parse`, up to `size_max` of them. When none can be parsed the answer is a failure.
template <typename Record, typename Parse>
std::vector<Record> read_records(const ub_result& result, std::size_t size_max, dns::LookupOutcome& outcome,
                                 std::string& text, Parse parse) {
  std::vector<Record> out;
  std::size_t malformed = 0;
  std::size_t left_out = 0;
  for (std::size_t i = 0; result.data != nullptr && result.data[i] != nullptr; ++i) {
    auto record = parse(std::string_view(result.data[i], static_cast<std::size_t>(result.len[i])));
    if (!record) {
      ++malformed;
    } else if (out.size() == size_max) {
      ++left_out;
    } else if (std::ranges::find(out, *record) == out.end()) {
      out.push_back(*std::move(record));
    }
  }
  if (malformed > 0) text += fmt::format("{} unreadable; ", malformed);
  if (left_out > 0) text += fmt::format("{} more than are looked at; ", left_out);
  if (outcome == dns::LookupOutcome::kFound && out.empty()) outcome = dns::LookupOutcome::kFailure;
  return out;
}

Result<void> check(int error, Code code, std::string_view what) {
  if (error == UB_NOERROR) return {};
  return {code, fmt::format("{}: {}", what, ub_strerror(error))};
}

}  // namespace

struct Resolver::Pending {
  Resolver* resolver;
  asio::steady_timer* wake;
  std::string zone;
  std::string name;
  dns::RecordType type;
  Questions::Clock::time_point deadline;
  int async_id = 0;
  bool under_way = false;
  Places::Part place{};
  dns::SrvAnswer srv;
  dns::AddressAnswer addresses;

  void fail(const std::string& text) { srv.text = addresses.text = text; }
  void read(const ub_result& result);
};

void Resolver::Pending::read(const ub_result& result) {
  srv.outcome = addresses.outcome = outcome(result);
  srv.secure = addresses.secure = result.secure != 0;
  fail(outcome_text(result));
  if (type == dns::RecordType::kSrv) {
    srv.records =
        read_records<dns::SrvRecord>(result, limits::kSrvRecordsMax, srv.outcome, srv.text, dns::parse_srv);
  } else {
    addresses.ips =
        read_records<dns::Ip>(result, limits::kAddressesPerTargetMax, addresses.outcome, addresses.text,
                              [this](std::string_view rdata) { return dns::parse_address(type, rdata); });
  }
}

void Resolver::ContextEnd::operator()(ub_ctx* context) const { ub_ctx_delete(context); }

Result<void> Resolver::configure(ub_ctx* context, const ResolverSetup& setup) {
  const std::pair<const char*, std::string> options[] = {
      // A library's defaults are for one question at a time.
      {"num-queries-per-thread:", std::to_string(limits::kDnsQuestionsMax)},
      {"outgoing-range:", "512"},
      {"outgoing-num-tcp:", "16"},
      // A forwarder on this machine is common; the dialler, not the resolver, refuses names that lead here.
      {"do-not-query-localhost:", "no"},
      {"unblock-lan-zones:", "yes"},
      // RFC 9715: a size that passes everywhere without fragments.
      {"edns-buffer-size:", "1232"},
      {"qname-minimisation:", "no"},
      {"cache-max-negative-ttl:", std::to_string(std::chrono::seconds(limits::kDnsNegativeTtlMax).count())},
      // Asks a forwarder that was down again soon after it is back.
      {"infra-keep-probing:", "yes"},
      {"infra-host-ttl:", "10"},
      {"module-config:", setup.trust_anchor.empty() ? "iterator" : "validator iterator"},
  };
  for (const auto& [name, value] : options) {
    if (auto ok = check(ub_ctx_set_option(context, name, value.c_str()), Code::kInternal, name); !ok)
      return ok;
  }
  for (const auto& name : setup.insecure) {
    auto ok = check(ub_ctx_set_option(context, "domain-insecure:", name.c_str()), Code::kConfigValue, name);
    if (!ok) return ok;
  }
  if (!setup.trust_anchor.empty()) {
    // libunbound reads it later, and then reports an error without details, or none.
    const auto anchors = read_file(setup.trust_anchor, limits::kTrustBytesMax);
    if (!anchors) return anchors.error();
    if (!dns::has_usable_anchor(*anchors))
      return {Code::kFileFormat, setup.trust_anchor + ": it has no trust anchor that can be used"};
    auto ok = check(ub_ctx_add_ta_file(context, setup.trust_anchor.c_str()), Code::kFileUnreadable,
                    setup.trust_anchor);
    if (!ok) return ok;
  }
  for (const auto& server : setup.servers) {
    if (!server.is_ip) return {Code::kConfigValue, server.text() + ": a resolver is named by its IP address"};
    const auto address = fmt::format("{}@{}", server.host, server.port);
    if (auto ok = check(ub_ctx_set_fwd(context, address.c_str()), Code::kConfigValue, address); !ok)
      return ok;
  }
  if (!setup.servers.empty()) return {};
  if (auto ok = check(ub_ctx_resolvconf(context, nullptr), Code::kFileUnreadable, "/etc/resolv.conf"); !ok)
    return ok;
  return check(ub_ctx_hosts(context, nullptr), Code::kFileUnreadable, "/etc/hosts");
}

Result<std::shared_ptr<Resolver>> Resolver::make(asio::any_io_executor executor, const ResolverSetup& setup) {
  Context context(ub_ctx_create());
  if (!context) return {Code::kInternal, "libunbound did not start"};
  // Keeps it off stderr: errors and answers have the text.
  ub_ctx_debugout(context.get(), nullptr);
  if (auto ok = configure(context.get(), setup); !ok) return std::move(ok).error();
  if (auto ok = check(ub_ctx_async(context.get(), 1), Code::kInternal, "libunbound"); !ok) {
    return std::move(ok).error();
  }
  // libunbound answers these names by itself (RFC 6761 6.2, RFC 8375) though closed networks serve them.
  for (const char* zone : {"test.", "home.arpa."}) {
    if (auto ok = check(ub_ctx_zone_remove(context.get(), zone), Code::kInternal, zone); !ok) {
      return std::move(ok).error();
    }
  }
  // A duplicate, because asio closes the descriptor it watches and libunbound closes its own.
  const int fd = ::dup(ub_fd(context.get()));
  if (fd < 0) return {Code::kInternal, "no descriptor left for libunbound"};
  return std::shared_ptr<Resolver>(new Resolver(std::move(executor), std::move(context), fd));
}

Resolver::Resolver(asio::any_io_executor executor, Context context, int fd)
    : executor_(std::move(executor)),
      context_(std::move(context)),
      ready_(executor_, fd),
      self_(std::make_shared<Resolver*>(this)) {}

Resolver::~Resolver() { *self_ = nullptr; }

void Resolver::listen() {
  if (listening_ || under_way_ == 0) return;
  listening_ = true;
  ready_.async_wait(asio::posix::stream_descriptor::wait_read,
                    [self = self_](const boost::system::error_code&) {
                      if (*self == nullptr) return;
                      (*self)->listening_ = false;
                      ub_process((*self)->context_.get());
                      (*self)->listen();
                    });
}

Result<void> Resolver::take_place(Pending& pending) {
  const Places::Keys keys{pending.zone};
  Places::Place found = places_.place(keys);
  if (found.room == Places::Room::kYields) {
    Pending& loser = **found.loser;
    withdraw(loser);
    loser.fail("displaced by another domain: too many questions are under way");
    loser.wake->cancel();
    found = places_.place(keys);
  }
  if (found.room == Places::Room::kShareSpent) {
    return {Code::kDnsFailure, fmt::format("too many questions are under way for {}", pending.zone)};
  }
  if (found.room != Places::Room::kFree) return {Code::kDnsFailure, "too many questions are under way"};
  pending.place = places_.hold(keys, &pending);
  return {};
}

void Resolver::begin(Pending& pending) {
  if (auto placed = take_place(pending); !placed) return pending.fail(placed.error().text);
  const int error = ub_resolve_async(context_.get(), pending.name.c_str(), static_cast<int>(pending.type),
                                     kClassIn, &pending, &Resolver::answered, &pending.async_id);
  if (error != UB_NOERROR) {
    pending.place.reset();
    return pending.fail(ub_strerror(error));
  }
  pending.under_way = true;
  ++under_way_;
  listen();
}

void Resolver::withdraw(Pending& pending) {
  if (!std::exchange(pending.under_way, false)) return;
  pending.place.reset();
  // Removes its callback: `pending` may be destroyed before libunbound is done with the question.
  ub_cancel(context_.get(), pending.async_id);
  if (--under_way_ == 0) ready_.cancel();
}

void Resolver::answered(void* data, int error, ub_result* result) {
  const Answer owned(result);
  auto& pending = *static_cast<Pending*>(data);
  pending.under_way = false;
  pending.place.reset();
  --pending.resolver->under_way_;
  if (error != UB_NOERROR || result == nullptr) {
    pending.fail(ub_strerror(error));
  } else {
    pending.read(*result);
  }
  pending.wake->cancel();
}

Resolver::Questions::Questions(Resolver& resolver, std::string_view domain)
    : resolver_(resolver.shared_from_this()), zone_(parent_of_domain(domain)), wake_(resolver.executor_) {}

Resolver::Questions::~Questions() {
  for (auto& pending : asked_) resolver_->withdraw(*pending);
}

std::size_t Resolver::Questions::ask(const std::string& name, dns::RecordType type,
                                     Clock::time_point deadline) {
  deadline = std::min(deadline, Clock::now() + limits::kDnsTimeout);
  // An absolute name, or libunbound would try search domains of the system.
  const auto absolute = name.ends_with('.') ? name : name + ".";
  asked_.push_back(std::make_unique<Pending>(
      Pending{resolver_.get(), &wake_, zone_, absolute, type, deadline, 0, false, {}, {}, {}}));
  resolver_->begin(*asked_.back());
  return asked_.size() - 1;
}

bool Resolver::Questions::is_done(std::size_t question) const { return !asked_[question]->under_way; }

std::size_t Resolver::Questions::done_count() const {
  return static_cast<std::size_t>(std::ranges::count_if(asked_, [](const auto& p) { return !p->under_way; }));
}

bool Resolver::Questions::is_all_done() const { return done_count() == asked_.size(); }

void Resolver::Questions::expire(Clock::time_point now) {
  for (auto& pending : asked_) {
    if (!pending->under_way || pending->deadline > now) continue;
    resolver_->withdraw(*pending);
    pending->fail("no answer in time");
  }
}

asio::awaitable<void> Resolver::Questions::wait(Clock::time_point until) {
  const std::size_t before = done_count();
  for (;;) {
    const auto now = Clock::now();
    expire(now);
    if (done_count() > before || is_all_done() || now >= until) co_return;
    auto next = until;
    for (const auto& pending : asked_) {
      if (pending->under_way) next = std::min(next, pending->deadline);
    }
    wake_.expires_at(next);
    co_await wake_.async_wait(asio::as_tuple(asio::use_awaitable));
    // Throws in a cancelled coroutine; an answer also ends the wait early.
    if ((co_await asio::this_coro::cancellation_state).cancelled() != asio::cancellation_type::none) {
      throw boost::system::system_error(asio::error::operation_aborted);
    }
  }
}

asio::awaitable<void> Resolver::Questions::wait_all() {
  while (!is_all_done()) co_await wait(Clock::time_point::max());
}

const dns::SrvAnswer& Resolver::Questions::srv(std::size_t question) const { return asked_[question]->srv; }

const dns::AddressAnswer& Resolver::Questions::addresses(std::size_t question) const {
  return asked_[question]->addresses;
}

}  // namespace sallyport::net
