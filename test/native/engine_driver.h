// Asks a model's engine and steps it until everything is answered, as the binding does from its thread.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>

#include "generation/request.h"

namespace facellm {

class TestClient : public StepClient {
 public:
  bool enter() override { return !is_gone; }
  void leave() override {}
  bool is_slow() const override { return is_paused; }
  void deliver(std::vector<TokenEvent> events) override {
    for (const auto& event : events) {
      tokens[{event.request, event.row}].push_back(event.id);
      log_probs[{event.request, event.row}].push_back(event.log_prob);
    }
    if (on_tokens) on_tokens(events);
  }

  void want_pixels(RequestId request, size_t image) override { wanted.emplace_back(request, image); }

  std::vector<std::pair<RequestId, size_t>> wanted;
  std::map<std::pair<RequestId, int32_t>, std::vector<int32_t>> tokens;
  std::map<std::pair<RequestId, int32_t>, std::vector<float>> log_probs;
  std::function<void(const std::vector<TokenEvent>&)> on_tokens;
  bool is_gone = false;
  bool is_paused = false;
};

// What becomes of one request.
template <typename Result>
struct Outcome {
  RequestId id = 0;
  std::shared_ptr<Cancellation> cancellation = std::make_shared<Cancellation>();
  std::shared_ptr<RowControl> control = std::make_shared<RowControl>();
  std::optional<Result> result;
  std::optional<Error> error;
  bool is_over() const { return result || error; }
};

template <typename Request>
struct ResultOf;
template <>
struct ResultOf<GenerateRequest> : std::type_identity<GenerateResult> {};
template <>
struct ResultOf<ChooseRequest> : std::type_identity<ChooseResult> {};
template <>
struct ResultOf<EmbedRequest> : std::type_identity<std::vector<HostTensor>> {};

template <typename Engine>
class Driver {
 public:
  explicit Driver(Engine& engine) : engine_(engine) {}

  template <typename Request>
  auto submit(Request request, std::shared_ptr<TestClient> client = nullptr) {
    using Result = typename ResultOf<Request>::type;
    auto outcome = std::make_shared<Outcome<Result>>();
    outcome->id = next_++;
    engine_.submit(Ticket{outcome->id, client ? client : this->client, outcome->cancellation,
                          [outcome](const Error& error) {
                            EXPECT_FALSE(outcome->is_over());
                            outcome->error = error;
                          },
                          outcome->control},
                   std::move(request), [outcome](Result result) {
                     EXPECT_FALSE(outcome->is_over());
                     outcome->result = std::move(result);
                   });
    return outcome;
  }

  void run() {
    while (engine_.step()) {
    }
  }

  // One request alone, to its end. Throws what it fails with.
  template <typename Request>
  auto answer(Request request) {
    const auto outcome = submit(std::move(request));
    run();
    if (outcome->error) throw *outcome->error;
    return *outcome->result;
  }

  // Its tokens, of a request with one answer.
  std::vector<int32_t> ids(GenerateRequest request) {
    const auto outcome = submit(std::move(request));
    run();
    if (outcome->error) throw *outcome->error;
    return client->tokens[{outcome->id, 0}];
  }

  const std::shared_ptr<TestClient> client = std::make_shared<TestClient>();

 private:
  Engine& engine_;
  RequestId next_ = 1;
};

}  // namespace facellm
