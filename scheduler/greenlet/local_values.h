// The values that one task has of green::locals. For its hub's thread.
#pragma once

#include <memory>
#include <unordered_map>

#include "greenroom/scheduler/greenlet/local.h"
#include "greenroom/scheduler/hub/interrupt.h"

namespace greenroom::detail {

class LocalValues final : public TaskPart {
 public:
  // A task's, made if it has none.
  static LocalValues& of(Task& task);
  static LocalValues* of_if_any(const Task& task) noexcept;
  ~LocalValues() override;
  // They are destroyed: in the task, or in a greenlet of their own if that is abandoned.
  void end(Task& task, End end) noexcept override;

  // Null: it has none yet.
  LocalValue* find(const void* key) const;
  LocalValue& insert(const void* key, std::unique_ptr<LocalSlot> slot);

 private:
  void forget_the_ended();

  std::unordered_map<const void*, std::unique_ptr<LocalSlot>> slots_;
  std::size_t looked_at_ = 8;  // with so many, those of locals that have ended are looked for
};

}  // namespace greenroom::detail
