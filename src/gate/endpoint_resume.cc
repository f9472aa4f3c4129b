// Sessions that go on after their stream broke (stream management, XEP-0198 5): what the peer had received is
// then known, and nothing is sent twice.
#include <algorithm>
#include <utility>

#include "gate/endpoint.h"

namespace sallyport::gate {
namespace {

std::vector<Queued> take_doubtful(Outboxes& boxes, Outbox& box) {
  std::vector<Queued> doubtful;
  while (!box.empty() && box.front().doubt != 0) doubtful.push_back(boxes.pop(box));
  return doubtful;
}

}  // namespace

// --- streams that were accepted: the peer resumes

bool Endpoint::on(ConnId conn, Stream&, s2s::Resumable&& event, Now) {
  confirming_.suspended.open(event.id, conn);
  return true;
}

// A peer may know before us that its connection is broken. Who it is was proved on this stream anew.
bool Endpoint::on(ConnId conn, Stream& stream, s2s::ResumeAsked&& asked, Now now) {
  SuspendedStreams& suspended = confirming_.suspended;
  const auto old = suspended.find(asked.previous);
  const std::vector<s2s::PeerProof> proofs = stream.in()->proofs();
  const auto is_of_peer = [&proofs](const Pair& pair) {
    return std::ranges::find(proofs, pair, &s2s::PeerProof::pair) != proofs.end();
  };
  Stream* lives = old && *old != conn ? find(*old) : nullptr;
  if (lives != nullptr && lives->in() != nullptr && !lives->in()->proofs().empty() &&
      is_of_peer(lives->in()->proofs().front().pair())) {
    emit(Output{Disconnect{*old}});
    break_stream(*old, *lives, {Code::kStreamLost, "the peer goes on with another stream"}, now);
  }
  if (old && suspended.has(*old) && is_of_peer(suspended.pair(*old))) {
    suspended.await(*old, conn, now.mono);
    answer_resumes(now);
  } else {
    find(conn)->in()->refuse_resume(std::nullopt, now.mono);
  }
  return find(conn) != nullptr;
}

void Endpoint::answer_resumes(Now now) {
  while (auto answer = confirming_.suspended.poll()) {
    Stream* stream = find(answer->to);
    if (stream == nullptr || stream->in() == nullptr) continue;
    if (answer->resumes) {
      stream->in()->resume(answer->id, std::move(answer->count), now.mono);
      confirming_.suspended.open(answer->id, answer->to);
    } else {
      stream->in()->refuse_resume(answer->count.handled(), now.mono);
    }
    flush(answer->to, *stream);
    set_timer(answer->to, *stream);
  }
}

void Endpoint::end_session(ConnId conn, Stream& stream, Now now) {
  s2s::Inbound* in = stream.in();
  if (in == nullptr || in->resume_id().empty()) return;
  const std::string id = in->resume_id();
  auto session = in->suspend();
  if (!session || in->proofs().empty()) return confirming_.suspended.close(id);
  const Pair pair = in->proofs().front().pair();
  confirming_.suspended.suspend(conn, *std::move(session), pair, peer_of(pair), now.mono);
}

// --- streams that this node opened: we resume

void Endpoint::keep_for_resume(const Pair& pair, Outgoing& out, const s2s::SendEnded& ended, Now now) {
  out.resume = {*ended.resume, now.mono + limits::kResumeTime};
  std::uint32_t number = ended.resume->handled + static_cast<std::uint32_t>(ended.unacknowledged);
  for (std::size_t left = ended.unacknowledged; left > 0; --left) {
    Queued queued = out.box.take_newest_sent();
    // The number 0 stands for none: of 2^32 stanzas one is sent again without a question.
    queued.doubt = number--;
    queued.deadline = deadline_of(out, queued, now);
    outboxes_.put_front(pair, out.box, std::move(queued));
  }
}

void Endpoint::settle_doubts(const Pair& pair, Outgoing& out, const s2s::ResumeAnswered& answer, Now now) {
  out.resume.reset();
  std::vector<Queued> open;
  for (Queued& queued : take_doubtful(outboxes_, out.box)) {
    const auto behind = answer.handled ? static_cast<std::int32_t>(*answer.handled - queued.doubt) : -1;
    queued.doubt = 0;
    if (behind >= 0) {
      deliver(queued);
    } else {
      open.push_back(std::move(queued));
    }
  }
  if (!answer.resumed) {
    counters_.uncertain += open.size();
    return send_again(pair, out, std::move(open), std::nullopt, now);
  }
  for (; !open.empty(); open.pop_back()) outboxes_.put_front(pair, out.box, std::move(open.back()));
}

bool Endpoint::on(ConnId conn, Stream& stream, s2s::ResumeAnswered&& answer, Now now) {
  OutgoingEntry* entry = outgoing_of(conn, stream);
  if (entry == nullptr) return true;
  auto& [pair, out] = *entry;
  settle_doubts(pair, out, answer, now);
  if (out.ready) write_queue(pair, out, now);
  return find(conn) != nullptr;
}

}  // namespace sallyport::gate
