// Memory for tasks, messages and posts: size-classed free lists per hub over a depot shared by the
// process.
//
// allocate and release may be called on any thread, and a block may be released on another thread
// than it was allocated on: it joins the releasing hub's magazine. Full batches move between the
// magazines and the depot, so a hub that only receives feeds one that only sends, at one lock per
// batch. What is free is listed by address and never linked through the blocks: whoever takes one
// that another processor has used need not wait for its memory. A block that fits in a cache line
// and is most of one has it to itself, so that two processors do not fight over neighbours.
// Blocks above the largest class go to malloc. Memory of the classes is kept for the life of the
// process. Under sanitizers every block is malloc's, so that they see each use after free.
//
// Rejected: a home hub per block (its return outlives the hub); malloc (3-4 times the cost, and its
// arenas grow when one thread allocates and another frees).
#pragma once

#include <cstddef>
#include <cstdint>

#include "greenroom/scheduler/system/sanitizers.h"

namespace greenroom::detail {

class BlockPool {
 public:
  static constexpr std::size_t granule = 16;
  static constexpr std::size_t largest = 512;

  BlockPool() = default;
  ~BlockPool();
  BlockPool(const BlockPool&) = delete;
  BlockPool& operator=(const BlockPool&) = delete;

  void* allocate(std::size_t size) {
    if (!is_pooled(size)) return allocate_large(size);
    const std::size_t index = class_of(size);
    Magazine& magazine = magazines_[index];
    if (magazine.count == 0) [[unlikely]]
      refill(index);
    return magazine.blocks[--magazine.count];
  }
  void release(void* memory, std::size_t size) noexcept {
    if (!is_pooled(size)) return release_large(memory);
    const std::size_t index = class_of(size);
    Magazine& magazine = magazines_[index];
    magazine.blocks[magazine.count] = memory;
    if (++magazine.count == 2 * batch_size) [[unlikely]]
      overflow(index);
  }

 private:
  static constexpr std::uint32_t batch_size = 64;
  static constexpr std::size_t classes = largest / granule;

  static constexpr std::size_t cache_line = 64;

  // The class of index i is for blocks of up to (i + 1) * granule bytes.
  static constexpr std::size_t class_of(std::size_t size) {
    const bool fills_a_line = size > cache_line / 2 && size <= cache_line;
    return ((fills_a_line ? cache_line : size) - 1) / granule;
  }

  struct Batch;
  struct Magazine {
    std::uint64_t count = 0;
    Batch* spare = nullptr;        // an empty one, to be filled when the magazine is full
    void* blocks[2 * batch_size];  // the first `count`, oldest first
  };

#if defined(GREENROOM_ASAN) || defined(GREENROOM_TSAN)
  static constexpr bool is_pooled(std::size_t) { return false; }
#else
  static constexpr bool is_pooled(std::size_t size) { return size <= largest; }
#endif
  static void* allocate_large(std::size_t size);
  static void release_large(void* memory) noexcept;

  void refill(std::size_t index);
  void overflow(std::size_t index) noexcept;

  Magazine magazines_[classes];

  friend struct Depot;
};

// The pool of the hub that is bound to the calling thread; null where there is none. Set by the
// hub.
extern constinit thread_local BlockPool* thread_block_pool;

void* allocate_shared_block(std::size_t size);
void release_shared_block(void* block, std::size_t size) noexcept;

// From the calling thread's pool if it has a hub, else from the shared one behind a lock. Throws
// std::bad_alloc.
inline void* allocate_block(std::size_t size) {
  BlockPool* pool = thread_block_pool;
  return pool ? pool->allocate(size) : allocate_shared_block(size);
}
inline void release_block(void* block, std::size_t size) noexcept {
  BlockPool* pool = thread_block_pool;
  pool ? pool->release(block, size) : release_shared_block(block, size);
}

}  // namespace greenroom::detail
