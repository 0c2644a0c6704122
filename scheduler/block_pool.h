// Memory for tasks, messages and posts: size-classed free lists per hub over a depot shared by the
// process.
//
// allocate and release may be called on any thread, and a block may be released on another thread
// than it was allocated on: it joins the releasing hub's list. Full batches move between the lists
// and the depot, so a hub that only receives feeds one that only sends, at one lock per batch.
// Blocks above the largest class go to malloc. Memory of the classes is kept for the life of the
// process. Under sanitizers every block is malloc's, so that they see each use after free.
//
// Rejected: a home hub per block (its return outlives the hub); malloc (3-4 times the cost, and its
// arenas grow when one thread allocates and another frees).
#pragma once

#include <cstddef>
#include <cstdint>

namespace greenroom::detail {

class BlockPool {
 public:
  static constexpr std::size_t granule = 16;
  static constexpr std::size_t largest = 512;

  BlockPool() = default;
  ~BlockPool();
  BlockPool(const BlockPool&) = delete;
  BlockPool& operator=(const BlockPool&) = delete;

  void* allocate(std::size_t size);
  void release(void* block, std::size_t size) noexcept;

 private:
  struct Block {
    Block* next;
  };
  struct FreeList {
    Block* head = nullptr;
    std::uint32_t count = 0;
    Block* spare =
        nullptr;  // a full batch, so that a list at the boundary does not visit the depot each time
  };
  static constexpr std::uint32_t batch = 64;
  static constexpr std::size_t classes = largest / granule;

  void* refill(std::size_t index);
  void overflow(std::size_t index) noexcept;

  FreeList lists_[classes];

  friend struct Depot;
};

// The calling thread's pool if it has a hub, else the shared one behind a lock. Throws
// std::bad_alloc.
void* allocate_block(std::size_t size);
void release_block(void* block, std::size_t size) noexcept;

// The pool that allocate_block uses on this thread; null where there is no hub. Set by the hub that
// is bound.
void set_thread_block_pool(BlockPool* pool) noexcept;

}  // namespace greenroom::detail
