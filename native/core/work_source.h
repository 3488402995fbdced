// Something that has work for an engine thread whenever it is asked, a step at a time. Torch-free.
#pragma once

namespace facellm {

class WorkSource {
 public:
  virtual ~WorkSource() = default;
  // Does one step; false if there was nothing to do. Never throws.
  virtual bool step() = 0;
};

}  // namespace facellm
