#include "greenroom/scheduler/memory/block_pool.h"

#include <immintrin.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cstdlib>
#include <mutex>
#include <new>

namespace greenroom::detail {

constinit thread_local BlockPool* thread_block_pool = nullptr;

struct BlockPool::Batch {
  Batch* next = nullptr;
  std::array<void*, batch_size> blocks;
};

namespace {

// Held for a few instructions, by others who are in the middle of work: worth a moment's wait.
class BriefLock {
 public:
  explicit BriefLock(std::mutex& mutex) : mutex_(mutex) {
    constexpr int patience = 64;
    for (int i = 0; i < patience; ++i) {
      if (mutex_.try_lock()) return;
      _mm_pause();
    }
    mutex_.lock();
  }
  ~BriefLock() { mutex_.unlock(); }
  BriefLock(const BriefLock&) = delete;
  BriefLock& operator=(const BriefLock&) = delete;

 private:
  std::mutex& mutex_;
};

template <class T>
void push(T*& list, T* item) noexcept {
  item->next = list;
  list = item;
}

template <class T>
T* pop(T*& list) noexcept {
  T* first = list;
  if (first) list = first->next;
  return first;
}

}  // namespace

// What is in no hub's magazine: batches by class, and the chunk that new blocks are cut from.
struct Depot {
  using Batch = BlockPool::Batch;
  static constexpr std::size_t chunk_size = std::size_t{1} << 20;

  struct alignas(BlockPool::cache_line) Shelf {
    std::mutex mutex;
    Batch* full = nullptr;
    Batch* empty = nullptr;
  };

  Shelf shelves[BlockPool::classes];
  std::mutex chunk_mutex;
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

  // A full batch, null if there is none, for an empty one or null.
  Batch* exchange_empty(std::size_t index, Batch* empty) noexcept {
    Shelf& shelf = shelves[index];
    const BriefLock lock(shelf.mutex);
    if (!shelf.full) return nullptr;
    if (empty) push(shelf.empty, empty);
    return pop(shelf.full);
  }

  // The other way round.
  Batch* exchange_full(std::size_t index, Batch* full) noexcept {
    Shelf& shelf = shelves[index];
    const BriefLock lock(shelf.mutex);
    push(shelf.full, full);
    return pop(shelf.empty);
  }

  // Fills `blocks` with batch_size new ones.
  void cut_batch(std::size_t size, void** blocks) {
    const std::size_t wanted = size * BlockPool::batch_size;
    const std::lock_guard lock(chunk_mutex);
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
    delete magazine.spare;
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
  Depot& depot = Depot::instance();
  if (Batch* batch = depot.exchange_empty(index, magazine.spare)) {
    std::copy(batch->blocks.begin(), batch->blocks.end(), magazine.blocks);
    magazine.spare = batch;
    // Another processor has used them: fetched all at once, and not one by one as they are taken.
    for (std::uint32_t i = batch_size; i-- > 0;) __builtin_prefetch(magazine.blocks[i], 1);
  } else {
    depot.cut_batch((index + 1) * granule, magazine.blocks);
  }
  magazine.count = batch_size;
}

// The newer half stays: it is warm.
void BlockPool::overflow(std::size_t index) noexcept {
  Magazine& magazine = magazines_[index];
  Batch* batch = magazine.spare ? magazine.spare : new Batch;
  std::copy_n(magazine.blocks, batch_size, batch->blocks.begin());
  magazine.spare = Depot::instance().exchange_full(index, batch);
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
