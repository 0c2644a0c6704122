#include "greenroom/actors/hubs/placement.h"

#include <algorithm>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "greenroom/actors/core/delivery.h"
#include "greenroom/actors/hubs/own_thread.h"
#include "greenroom/scheduler/system/crossing.h"

namespace greenroom::detail {

namespace {

// The hubs of one run or one simulation.
struct World {
  const void* key;
  bool is_simulated;
  std::vector<Hub*> hubs;
  std::size_t next = 0;
};

struct Placements {
  SharedMutex mutex;
  std::vector<World> worlds;
};

Placements& placements() {
  static auto* placements = new Placements;
  return *placements;
}

const void* world_key(const Hub& hub) {
  if (hub.environment()) return hub.environment();
  return hub.group().get();
}

// Under the mutex; null if there is none.
World* find_world(const Hub& hub) {
  std::vector<World>& worlds = placements().worlds;
  const auto found = std::find_if(worlds.begin(), worlds.end(),
                                  [&](const World& world) { return world.key == world_key(hub); });
  return found == worlds.end() ? nullptr : &*found;
}

struct HubPost final : PostNode {
  std::function<void(Hub&)> function;
};

}  // namespace

void list_hub(Hub& hub) {
  const std::lock_guard lock(placements().mutex);
  World* world = find_world(hub);
  if (!world)
    world =
        &placements().worlds.emplace_back(World{world_key(hub), hub.environment() != nullptr, {}});
  world->hubs.push_back(&hub);
}

void unlist_hub(Hub& hub) {
  const std::lock_guard lock(placements().mutex);
  World* world = find_world(hub);
  if (!world) return;
  std::erase(world->hubs, &hub);
  if (!world->hubs.empty()) return;
  std::erase_if(placements().worlds, [](const World& other) { return other.hubs.empty(); });
}

Home choose_hub(Placement placement, Hub& here) {
  if (placement == Placement::here) return {.hub = &here};
  // A simulation has no threads: any of its hubs will do.
  if (placement == Placement::own_thread && !here.environment()) return start_own_thread(here);
  std::unique_lock lock(placements().mutex);
  World* world = find_world(here);
  if (!world || std::find(world->hubs.begin(), world->hubs.end(), &here) == world->hubs.end())
    return {.hub = &here};
  const std::vector<Hub*>& hubs = world->hubs;
  Hub* chosen = nullptr;
  if (placement == Placement::least_busy) {
    // Another hub's load is as of a moment ago; ours is known.
    const auto load = [&](const Hub* hub) {
      return hub == &here ? here.task_count() : hub->load();
    };
    chosen = *std::min_element(hubs.begin(), hubs.end(),
                               [&](const Hub* a, const Hub* b) { return load(a) < load(b); });
  } else {
    chosen = hubs[++world->next % hubs.size()];
  }
  if (chosen == &here) return {.hub = &here};
  return {.hub = chosen, .is_listed = std::move(lock)};
}

std::vector<std::uint32_t> ports_beside(const Hub& here) {
  std::vector<std::uint32_t> ports;
  const std::lock_guard lock(placements().mutex);
  if (here.environment()) {
    if (const World* world = find_world(here)) {
      for (const Hub* hub : world->hubs) ports.push_back(hub->id());
    }
    return ports;
  }
  const auto is_simulated = [](std::uint32_t port) {
    const std::vector<World>& worlds = placements().worlds;
    return std::any_of(worlds.begin(), worlds.end(), [port](const World& world) {
      return world.is_simulated &&
             std::any_of(world.hubs.begin(), world.hubs.end(),
                         [port](const Hub* hub) { return hub->id() == port; });
    });
  };
  for (std::uint32_t port = 0; port < Port::limit && Port::at(port); ++port) {
    if (!is_simulated(port)) ports.push_back(port);
  }
  return ports;
}

bool post_to_port(std::uint32_t port, std::function<void(Hub&)> f) {
  auto leaving = std::make_unique<HubPost>();
  leaving->function = std::move(f);
  leaving->deliver = [](Hub& hub, PostNode& node) {
    const std::unique_ptr<HubPost> owned(static_cast<HubPost*>(&node));
    owned->function(hub);
  };
  if (!post(port, *leaving)) return false;
  static_cast<void>(leaving.release());
  return true;
}

}  // namespace greenroom::detail
