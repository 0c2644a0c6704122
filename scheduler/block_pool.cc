#include "greenroom/scheduler/block_pool.h"

#include <sys/mman.h>

#include <cassert>
#include <cstdlib>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

namespace greenroom::detail {

constinit thread_local BlockPool* thread_block_pool = nullptr;

// Batches not in any hub's list, and the chunk that new blocks are cut from.
struct Depot {
  using Block = BlockPool::Block;
  static constexpr std::size_t chunk_size = std::size_t{1} << 20;

  std::mutex mutex;
  std::vector<Block*> batches[BlockPool::classes];
  std::byte* cursor = nullptr;
  std::byte* end = nullptr;
  BlockPool shared;  // for threads without a hub
  std::mutex shared_mutex;

  // Never destroyed: blocks are released until the very end of the process.
  static Depot& instance() {
    alignas(Depot) static std::byte storage[sizeof(Depot)];
    static Depot* depot = new (storage) Depot;
    return *depot;
  }

  Block* take_batch(std::size_t index) {
    const std::lock_guard lock(mutex);
    if (!batches[index].empty()) {
      Block* head = batches[index].back();
      batches[index].pop_back();
      return head;
    }
    return cut_batch((index + 1) * BlockPool::granule);
  }

  void put_batch(std::size_t index, Block* head) noexcept {
    const std::lock_guard lock(mutex);
    batches[index].push_back(head);
  }

 private:
  Block* cut_batch(std::size_t size) {
    const std::size_t wanted = size * BlockPool::batch;
    if (static_cast<std::size_t>(end - cursor) < wanted) {
      void* chunk =
          mmap(nullptr, chunk_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      if (chunk == MAP_FAILED) throw std::bad_alloc();
      cursor = static_cast<std::byte*>(chunk);
      end = cursor + chunk_size;
    }
    Block* head = nullptr;
    for (std::uint32_t i = BlockPool::batch; i-- > 0;) {
      auto* block = reinterpret_cast<Block*>(cursor + i * size);
      block->next = head;
      head = block;
    }
    cursor += wanted;
    return head;
  }
};

BlockPool::~BlockPool() {
  // Part batches are handed over one block at a time through the shared pool.
  Depot& depot = Depot::instance();
  if (this == &depot.shared) return;
  for (std::size_t index = 0; index < classes; ++index) {
    FreeList& list = lists_[index];
    const std::lock_guard lock(depot.shared_mutex);
    while (Block* block = list.head) {
      list.head = block->next;
      depot.shared.release(block, (index + 1) * granule);
    }
  }
}

void* BlockPool::allocate_large(std::size_t size) {
  assert(size > 0);
  void* block = std::malloc(size);
  if (!block) throw std::bad_alloc();
  return block;
}

void BlockPool::release_large(void* memory) noexcept { std::free(memory); }

void* BlockPool::refill(std::size_t index) {
  FreeList& list = lists_[index];
  Block* head = Depot::instance().take_batch(index);
  list.head = head->next;
  list.count = batch - 1;
  return head;
}

// The newer half stays: it is warm.
void BlockPool::overflow(std::size_t index) noexcept {
  FreeList& list = lists_[index];
  Block* last = list.head;
  for (std::uint32_t i = 1; i < batch; ++i) last = last->next;
  Depot::instance().put_batch(index, std::exchange(last->next, nullptr));
  list.count = batch;
}

void* allocate_shared_block(std::size_t size) {
  Depot& depot = Depot::instance();
  const std::lock_guard lock(depot.shared_mutex);
  return depot.shared.allocate(size);
}

void release_shared_block(void* block, std::size_t size) noexcept {
  Depot& depot = Depot::instance();
  const std::lock_guard lock(depot.shared_mutex);
  depot.shared.release(block, size);
}

}  // namespace greenroom::detail
