#include "greenroom/scheduler/block_pool.h"

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

namespace greenroom::detail {

constinit thread_local BlockPool* thread_block_pool = nullptr;

// Batches not in any hub's magazine, and the chunk that new blocks are cut from.
struct Depot {
  struct Batch {
    std::array<void*, BlockPool::batch_size> blocks;
  };
  static constexpr std::size_t chunk_size = std::size_t{1} << 20;

  std::mutex mutex;
  std::vector<std::unique_ptr<Batch>> batches[BlockPool::classes];
  std::vector<std::unique_ptr<Batch>> empty;
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

  // Fills `blocks` with batch_size free ones.
  void take_batch(std::size_t index, void** blocks) {
    const std::lock_guard lock(mutex);
    if (batches[index].empty()) return cut_batch((index + 1) * BlockPool::granule, blocks);
    std::unique_ptr<Batch> batch = std::move(batches[index].back());
    batches[index].pop_back();
    std::copy(batch->blocks.begin(), batch->blocks.end(), blocks);
    empty.push_back(std::move(batch));
  }

  void put_batch(std::size_t index, void* const* blocks) noexcept {
    const std::lock_guard lock(mutex);
    std::unique_ptr<Batch> batch;
    if (empty.empty()) {
      batch = std::make_unique<Batch>();
    } else {
      batch = std::move(empty.back());
      empty.pop_back();
    }
    std::copy_n(blocks, BlockPool::batch_size, batch->blocks.begin());
    batches[index].push_back(std::move(batch));
  }

 private:
  void cut_batch(std::size_t size, void** blocks) {
    const std::size_t wanted = size * BlockPool::batch_size;
    if (static_cast<std::size_t>(end - cursor) < wanted) {
      void* chunk =
          mmap(nullptr, chunk_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      if (chunk == MAP_FAILED) throw std::bad_alloc();
      cursor = static_cast<std::byte*>(chunk);
      end = cursor + chunk_size;
    }
    // The last one is used first: in the order of addresses.
    for (std::uint32_t i = 0; i < BlockPool::batch_size; ++i) {
      blocks[BlockPool::batch_size - 1 - i] = cursor + i * size;
    }
    cursor += wanted;
  }
};

BlockPool::~BlockPool() {
  // Part batches are handed over one block at a time through the shared pool.
  Depot& depot = Depot::instance();
  if (this == &depot.shared) return;
  for (std::size_t index = 0; index < classes; ++index) {
    Magazine& magazine = magazines_[index];
    const std::lock_guard lock(depot.shared_mutex);
    while (magazine.count > 0) {
      depot.shared.release(magazine.blocks[--magazine.count], (index + 1) * granule);
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

void BlockPool::refill(std::size_t index) {
  Magazine& magazine = magazines_[index];
  Depot::instance().take_batch(index, magazine.blocks);
  magazine.count = batch_size;
}

// The newer half stays: it is warm.
void BlockPool::overflow(std::size_t index) noexcept {
  Magazine& magazine = magazines_[index];
  Depot::instance().put_batch(index, magazine.blocks);
  std::copy_n(magazine.blocks + batch_size, batch_size, magazine.blocks);
  magazine.count = batch_size;
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
