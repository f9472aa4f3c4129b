// Asking authoritative servers about keys (gate/verifier.h): its streams are streams like others.
#include <utility>

#include "gate/endpoint.h"

namespace sallyport::gate {

Result<ConnId> Endpoint::open_verifier(const Pair& pair, Now now) {
  auto plan = setup_.policy.find(pair, now.civil);
  if (!plan) return plan.error();
  const ConnId conn = setup_.ids.next();
  Stream stream = new_stream(now);
  stream.target = pair;
  stream.verifies = true;
  streams_.get(conn, std::move(stream));
  emit(Output{Dial{conn, std::move(*plan)}});
  return conn;
}

void Endpoint::handle_verifier(Now now) {
  while (auto output = verifier_.poll())
    std::visit([&](auto&& wanted) { on(std::move(wanted), now); }, std::move(*output));
}

void Endpoint::on(Verifier::Ask&& ask, Now now) {
  Stream* stream = find(ask.conn);
  if (stream == nullptr || stream->out() == nullptr) return;
  stream->out()->verify(ask.question.pair, ask.question.stream_id, ask.question.key, now.mono);
  after(ask.conn, now);
}

void Endpoint::on(Verifier::Answer&& answer, Now now) {
  Stream* asker = find(answer.question.asker);
  if (asker == nullptr || asker->in() == nullptr) return;  // it has ended meanwhile
  asker->in()->handle_verified(answer.question.pair, answer.question.stream_id, std::move(answer.answer),
                               now.mono);
  after(answer.question.asker, now);
}

void Endpoint::on(Verifier::Close&& close, Now now) {
  Stream* stream = find(close.conn);
  if (stream == nullptr) return;
  if (close.error) {
    emit(Output{Disconnect{close.conn}});
    break_stream(close.conn, *stream, *close.error, now);
  } else {
    stream->out()->close(std::nullopt, now.mono);
    after(close.conn, now);
  }
}

}  // namespace sallyport::gate
