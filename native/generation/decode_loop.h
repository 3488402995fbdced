// Token by token until every row has met an end-of-sequence id or the limit.
#pragma once

#include "generation/prefill.h"

namespace facellm {

GenerateResult generate(Session& session, const GenerateRequest& request, const TokenSink& sink,
                        const Cancellation& cancellation);

}  // namespace facellm
