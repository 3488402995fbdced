// Every operator: those that make or reshape memory are the device's own, all others are computed by the CPU's version, on
// aliases of the arguments. What CUDA would refuse is refused here in the same words.
#include <ATen/ATen.h>
#include <ATen/EmptyTensor.h>
#include <ATen/NativeFunctions.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/native/Resize.h>
#include <c10/core/GradMode.h>
#include <torch/library.h>

#include <algorithm>
#include <set>
#include <string>

#include "alias.h"
#include "device_state.h"
#include "device_memory.h"
#include "graph.h"
#include "record.h"
#include "stream_order.h"

namespace pretend_cuda {
namespace {

c10::DeviceIndex index_of(std::optional<at::Device> device) {
  return device && device->has_index() ? device->index() : current_device();
}

at::Tensor empty(at::IntArrayRef sizes, std::optional<at::ScalarType> dtype, std::optional<at::Layout>,
                 std::optional<at::Device> device, std::optional<bool>, std::optional<at::MemoryFormat> format) {
  const OnDevice on(index_of(device));
  return at::detail::empty_generic(sizes, device_allocator(), c10::DispatchKeySet(c10::DispatchKey::CUDA),
                                   c10::dtype_or_default(dtype), format);
}

at::Tensor empty_strided(at::IntArrayRef sizes, at::IntArrayRef strides, std::optional<at::ScalarType> dtype,
                         std::optional<at::Layout>, std::optional<at::Device> device, std::optional<bool>) {
  const OnDevice on(index_of(device));
  return at::detail::empty_strided_generic(sizes, strides, device_allocator(), c10::DispatchKeySet(c10::DispatchKey::CUDA),
                                           c10::dtype_or_default(dtype));
}

at::Tensor as_strided(const at::Tensor& self, at::IntArrayRef sizes, at::IntArrayRef strides, std::optional<int64_t> offset) {
  return at::native::as_strided_tensorimpl(self, sizes, strides, offset);
}

const at::Tensor& resize_(const at::Tensor& self, at::IntArrayRef sizes, std::optional<at::MemoryFormat>) {
  const auto storage = self.storage();
  const size_t bytes = (static_cast<size_t>(c10::multiply_integers(sizes)) + static_cast<size_t>(self.storage_offset())) * self.element_size();
  if (bytes > storage.nbytes()) {
    const OnDevice on(self.get_device());
    auto grown = device_allocator()->allocate(bytes);
    if (storage.nbytes() > 0) device_allocator()->copy_data(grown.get(), storage.data(), storage.nbytes());
    storage.set_data_ptr_noswap(std::move(grown));
    storage.set_nbytes(bytes);
  }
  self.unsafeGetTensorImpl()->set_sizes_contiguous(sizes);
  return self;
}

at::Tensor& set_storage(at::Tensor& self, at::Storage source, int64_t offset, at::IntArrayRef sizes, at::IntArrayRef strides) {
  self.unsafeGetTensorImpl()->set_storage_keep_dtype(std::move(source));
  self.unsafeGetTensorImpl()->set_sizes_and_strides(sizes, strides, offset);
  return self;
}

// Those whose size of result only the device knows, or whose result is the host's.
bool makes_host_wait(const std::string& name, const std::vector<c10::IValue>& arguments) {
  static const std::set<std::string> names{"aten::nonzero", "aten::masked_select", "aten::_unique", "aten::_unique2", "aten::unique_dim",
                                           "aten::unique_consecutive", "aten::equal", "aten::bincount", "aten::is_set_to"};
  if (names.contains(name)) return true;
  if (name != "aten::index" && name != "aten::_index_put_impl_") return false;
  const auto indices = arguments[1].toOptionalTensorList();
  return std::ranges::any_of(indices, [](const std::optional<at::Tensor>& index) {
    return index && index->defined() && (index->scalar_type() == at::kBool || index->scalar_type() == at::kByte);
  });
}

// Of a call's arguments: what is done with each tensor among them.
template <typename Tell>
void for_each_tensor(const std::vector<c10::IValue>& arguments, Tell tell) {
  for (size_t i = 0; i < arguments.size(); ++i) {
    const auto& value = arguments[i];
    if (value.isTensor()) tell(i, value.toTensor());
    if (value.isTensorList()) {
      for (const at::Tensor& x : value.toTensorList()) tell(i, x);
    }
    if (value.isOptionalTensorList()) {
      for (const std::optional<at::Tensor>& x : value.toOptionalTensorList()) {
        if (x) tell(i, *x);
      }
    }
  }
}

// The device of all tensors; numbers (tensors without dimensions) and indices may be the host's.
c10::DeviceIndex common_device(const c10::FunctionSchema& schema, const std::vector<c10::IValue>& arguments) {
  std::optional<at::Device> common;
  for (const auto& value : arguments) {
    if (value.isDevice() && value.toDevice().is_cuda()) common = value.toDevice();
  }
  for_each_tensor(arguments, [&](size_t, const at::Tensor& x) {
    if (!common && x.defined() && x.is_cuda()) common = x.device();
  });
  const std::string& name = schema.name();
  for_each_tensor(arguments, [&](size_t i, const at::Tensor& x) {
    if (!x.defined() || x.device() == *common || (x.is_cpu() && x.dim() == 0)) return;
    if (x.is_cpu() && (name == "aten::index" || name == "aten::_index_put_impl_") && schema.arguments()[i].name() == "indices") return;
    TORCH_CHECK(false, "Expected all tensors to be on the same device, but got ", schema.arguments()[i].name(), " is on ",
                x.device(), ", different from other tensors on ", *common, " (when checking argument in method wrapper_CUDA_",
                name.substr(name.find(':') + 2), ")");
  });
  return common ? index_of(*common) : current_device();
}

std::string line_of(const std::string& name, const std::vector<c10::IValue>& arguments) {
  std::string text = name;
  for (const auto& value : arguments) {
    if (value.isInt()) text += " " + std::to_string(value.toInt());
    if (value.isDouble()) text += " " + std::to_string(value.toDouble());
    if (value.isBool()) text += value.toBool() ? " true" : " false";
    if (value.isIntList()) {
      for (const int64_t n : value.toIntVector()) text += " " + std::to_string(n);
    }
  }
  for_each_tensor(arguments, [&](size_t, const at::Tensor& x) { text += " " + text_of(x); });
  return text;
}

c10::IValue aliased(const c10::IValue& value, HostAliases& aliases) {
  if (value.isTensor()) return aliases.of(value.toTensor());
  if (value.isDevice() && value.toDevice().is_cuda()) return at::Device(at::kCPU);
  if (value.isTensorList()) {
    c10::List<at::Tensor> list;
    for (const at::Tensor& x : value.toTensorList()) list.push_back(aliases.of(x));
    return list;
  }
  if (value.isOptionalTensorList()) {
    c10::List<std::optional<at::Tensor>> list;
    for (const std::optional<at::Tensor>& x : value.toOptionalTensorList()) {
      list.push_back(x ? std::optional(aliases.of(*x)) : std::nullopt);
    }
    return list;
  }
  return value;
}

bool is_written(const c10::Argument& argument) { return argument.alias_info() != nullptr && argument.alias_info()->isWrite(); }

// A call of a graph once more: on the same tensors, into the results of the call that was recorded.
void repeat(const c10::OperatorHandle& op, const std::vector<c10::IValue>& arguments, const std::vector<at::Tensor>& results) {
  const Inside inside;
  const at::AutoDispatchBelowADInplaceOrView below;
  HostAliases aliases;
  for (size_t i = 0; i < arguments.size(); ++i) {
    if (is_written(op.schema().arguments()[i]) && arguments[i].isTensor()) note_use(arguments[i].toTensor().storage().data(), Use::kWrite);
  }
  torch::jit::Stack stack;
  for (const auto& value : arguments) stack.push_back(aliased(value, aliases));
  op.redispatchBoxed(c10::DispatchKeySet(c10::DispatchKey::CPU), &stack);
  std::vector<at::Tensor> own;
  for (const auto& value : stack) {
    if (value.isTensor()) own.push_back(value.toTensor());
    if (value.isTensorList()) {
      for (const at::Tensor& x : value.toTensorList()) own.push_back(x);
    }
  }
  for (size_t i = 0; i < results.size(); ++i) {
    if (!own[i].defined() || own[i].numel() == 0 || is_host_alias(own[i].storage().data())) continue;  // or it is there already
    auto target = aliases.of(results[i]);
    note_use(results[i].storage().data(), Use::kWrite);
    target.copy_(own[i]);
  }
}

void compute(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  const auto& schema = op.schema();
  const size_t count = schema.arguments().size(), base = stack->size() - count;
  const std::vector<c10::IValue> arguments(stack->begin() + static_cast<std::ptrdiff_t>(base), stack->end());
  const auto device = common_device(schema, arguments);
  note_operation(schema.name().substr(schema.name().find(':') + 2));
  if (is_in_step()) {
    add_line(line_of(schema.name(), arguments));
    if (std::ranges::any_of(arguments, [](const c10::IValue& value) { return value.isGenerator(); })) {
      break_rule("the host's generator: " + schema.name());
    }
  }
  const bool is_recorded = is_recording() && !is_inside();
  if (makes_host_wait(schema.name(), arguments)) {
    finish_copies(last_copy(), schema.name().c_str() + 6);
    host_waits(clock_of(current_stream(device)));
  }
  const Inside inside;
  const at::AutoDispatchBelowADInplaceOrView below;
  HostAliases aliases;
  std::vector<c10::IValue> own;
  for (size_t i = 0; i < count; ++i) own.push_back((*stack)[base + i] = aliased(arguments[i], aliases));
  op.redispatchBoxed(c10::DispatchKeySet(c10::DispatchKey::CPU), stack);
  for (size_t i = 0; i < count; ++i) {
    if (is_written(schema.arguments()[i]) && arguments[i].isTensor() && arguments[i].toTensor().is_cuda()) {
      HostAliases::take_over(arguments[i].toTensor(), own[i].toTensor());
    }
  }
  const size_t results = schema.returns().size(), first = stack->size() - results;
  for (size_t r = 0; r < results; ++r) {
    auto& value = (*stack)[first + r];
    const auto* const alias = schema.returns()[r].alias_info();
    if (alias != nullptr && alias->isWrite()) {  // an argument is given back
      for (size_t i = 0; i < count; ++i) {
        if (is_written(schema.arguments()[i]) && *schema.arguments()[i].alias_info() == *alias) value = arguments[i];
      }
    } else if (value.isTensor()) {
      value = aliases.to_device(value.toTensor(), device);
    } else if (value.isTensorList()) {
      c10::List<at::Tensor> list;
      for (const at::Tensor& x : value.toTensorList()) list.push_back(aliases.to_device(x, device));
      value = list;
    }
  }
  if (!is_recorded) return;
  std::vector<at::Tensor> given;
  for (size_t r = 0; r < results; ++r) {
    const auto& value = (*stack)[first + r];
    if (value.isTensor()) given.push_back(value.toTensor());
    if (value.isTensorList()) {
      for (const at::Tensor& x : value.toTensorList()) given.push_back(x);
    }
  }
  record_node([op, arguments, given] { repeat(op, arguments, given); });
}

}  // namespace

TORCH_LIBRARY_IMPL(aten, CUDA, m) {
  m.impl("empty.memory_format", &empty);
  m.impl("empty_strided", &empty_strided);
  m.impl("as_strided", &as_strided);
  m.impl("view", static_cast<at::Tensor (*)(const at::Tensor&, at::IntArrayRef)>(&at::native::view));
  m.impl("_reshape_alias", static_cast<at::Tensor (*)(const at::Tensor&, at::IntArrayRef, at::IntArrayRef)>(&at::native::_reshape_alias));
  m.impl("resize_", &resize_);
  m.impl("set_.source_Storage_storage_offset", &set_storage);
  // libtorch's general versions of these would run tensor by tensor; CUDA has one kernel for all.
  for (const auto& name : c10::Dispatcher::singleton().getAllOpNames()) {
    if (!name.name.starts_with("aten::_foreach_")) continue;
    const std::string full = name.name.substr(6) + (name.overload_name.empty() ? "" : "." + name.overload_name);
    m.impl(full.c_str(), torch::CppFunction::makeFromBoxedFunction<&compute>());
  }
}

TORCH_LIBRARY_IMPL(_, CUDA, m) { m.fallback(torch::CppFunction::makeFromBoxedFunction<&compute>()); }

}  // namespace pretend_cuda
