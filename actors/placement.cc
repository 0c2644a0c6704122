#include "greenroom/actors/placement.h"

#include <algorithm>
#include <memory>
#include <mutex>
#include <vector>

#include "greenroom/actors/own_thread.h"

namespace greenroom::detail {

namespace {

struct Placements {
  std::mutex mutex;
  std::vector<Hub*> hubs;
  std::size_t next = 0;
};

Placements& placements() {
  static auto* placements = new Placements;
  return *placements;
}

struct HubPost final : PostNode {
  std::function<void(Hub&)> function;
};

}  // namespace

void list_hub(Hub& hub) {
  const std::lock_guard lock(placements().mutex);
  placements().hubs.push_back(&hub);
}

void unlist_hub(Hub& hub) {
  const std::lock_guard lock(placements().mutex);
  std::erase(placements().hubs, &hub);
}

Hub* choose_hub(Placement placement, Hub& here, Hold& hold) {
  if (placement == Placement::here) return &here;
  if (placement == Placement::own_thread) return &start_own_thread(here, hold);
  Placements& all = placements();
  const std::lock_guard lock(all.mutex);
  if (all.hubs.empty() || std::find(all.hubs.begin(), all.hubs.end(), &here) == all.hubs.end())
    return &here;
  if (placement == Placement::next_hub) return all.hubs[++all.next % all.hubs.size()];
  return *std::min_element(all.hubs.begin(), all.hubs.end(),
                           [](const Hub* a, const Hub* b) { return a->load() < b->load(); });
}

bool post_to_port(std::uint32_t number, std::function<void(Hub&)> f) {
  Port* port = Port::at(number);
  if (!port) return false;
  auto post = std::make_unique<HubPost>();
  post->function = std::move(f);
  post->deliver = [](Hub& hub, PostNode& node) {
    const std::unique_ptr<HubPost> owned(static_cast<HubPost*>(&node));
    owned->function(hub);
  };
  if (!port->push(*post)) return false;
  static_cast<void>(post.release());
  return true;
}

}  // namespace greenroom::detail
