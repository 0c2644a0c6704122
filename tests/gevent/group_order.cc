// Runs programs of groups and pools, as group_order_test.py makes them and runs them on gevent, and
// prints what each of their greenlets did, in order.
//
// A program is a line: the sizes of its pools, then its actors, each a list of steps. A step is a
// letter and numbers: the pool, then what the letter says.
#include <cstdio>
#include <iostream>
#include <memory>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "greenroom/scheduler/green.h"

namespace greenroom {
namespace {

struct Step {
  char verb = ' ';
  std::vector<int> numbers;
};

struct Failed : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class Program {
 public:
  explicit Program(const std::string& line) {
    std::istringstream text(line);
    std::string word;
    while (text >> word && word != "|")
      pools_.push_back(word == "none" ? std::make_unique<green::Pool>()
                                      : std::make_unique<green::Pool>(std::stoul(word)));
    actors_.emplace_back();
    while (text >> word) {
      if (word == "|") {
        actors_.emplace_back();
      } else {
        actors_.back().push_back(parse(word));
      }
    }
  }

  std::string run() {
    std::vector<green::Greenlet<>> running;
    for (std::size_t i = 0; i < actors_.size(); ++i)
      running.push_back(green::spawn([this, i] { act(i); }));
    green::joinall(running);
    for (std::size_t i = 0; i < outside_.size(); ++i) outside_[i].join();
    for (const auto& pool : pools_) pool->join();
    return trace_;
  }

 private:
  static Step parse(const std::string& word) {
    Step step{word[0], {}};
    std::istringstream numbers(word.substr(1));
    for (std::string number; std::getline(numbers, number, ':');)
      step.numbers.push_back(std::stoi(number));
    return step;
  }

  void note(const std::string& text) { trace_ += text + ";"; }

  // What every worker does: yields so often, and calls for one more, right here or in a greenlet.
  int work(green::Pool& pool, const std::string& name, int yields, bool fails, bool applies) {
    note(name + " starts, " + std::to_string(pool.size()));
    for (int i = 0; i < yields; ++i) {
      yield();
      note(name + " goes on");
    }
    if (applies) {
      const int inner = pool.apply([&] { return work(pool, name + "'s", 1, false, false); });
      note(name + " got " + std::to_string(inner));
    }
    note(name + " ends, " + std::to_string(pool.size()));
    if (fails) throw Failed(name);
    return yields;
  }

  auto item_worker(green::Pool& pool, const std::string& name, int yields, int failing) {
    return [this, &pool, name, yields, failing](int item) {
      return work(pool, name + "." + std::to_string(item), (yields + item * 5) % 4, item == failing,
                  false);
    };
  }

  void read(const std::string& name, green::Results<int> results) {
    for (;;) {
      try {
        const std::optional<int> result = results.next();
        if (!result) break;
        note(name + " read " + std::to_string(*result));
      } catch (const Failed& failed) {
        note(name + " read error " + failed.what());
      }
    }
    note(name + " read all");
  }

  void act(std::size_t index) {
    int number = 0;
    green::Greenlet<> last;
    for (const Step& step : actors_[index]) {
      const std::string name = "a" + std::to_string(index) + "." + std::to_string(number++);
      const std::vector<int>& n = step.numbers;
      green::Pool& pool = *pools_[static_cast<std::size_t>(n.empty() ? 0 : n[0])];
      std::vector<int> items;
      if (step.verb == 'm' || step.verb == 'i' || step.verb == 'u')
        for (int i = 0; i < n[1]; ++i) items.push_back(i);
      switch (step.verb) {
        case 'y':
          yield();
          break;
        case 's':
          last =
              pool.spawn([this, &pool, name, n] { work(pool, name, n[1], n[2] == 1, n[2] == 2); });
          outside_.push_back(last);
          if (n[2] == 2) last = {};
          break;
        case 'm':
          try {
            std::string all = name + " mapped";
            for (const int result : pool.map(item_worker(pool, name, n[2], n[3]), items))
              all += " " + std::to_string(result);
            note(all);
          } catch (const Failed& failed) {
            note(name + " map error " + failed.what());
          }
          break;
        case 'i':
          read(name, pool.imap(item_worker(pool, name, n[2], n[3]), items,
                               {.max_size = static_cast<std::size_t>(n[4])}));
          break;
        case 'u':
          read(name, pool.imap_unordered(item_worker(pool, name, n[2], n[3]), items,
                                         {.max_size = static_cast<std::size_t>(n[4])}));
          break;
        case 'a':
          try {
            const int result = pool.apply([&] { return work(pool, name, n[1], n[2] == 1, false); });
            note(name + " applied " + std::to_string(result));
          } catch (const Failed& failed) {
            note(name + " apply error " + failed.what());
          }
          break;
        case 'A':
          last = pool.apply_async(
              [this, &pool, name, n] { return work(pool, name, n[1], false, false); });
          outside_.push_back(last);
          break;
        case 'g':
          if (last) last.join();
          break;
        case 'd':
          if (last) pool.discard(last);
          break;
        case 'j':
          pool.join();
          break;
        case 'x':
          pool.wait_available();
          break;
        case 'k':
          pool.kill();
          break;
        default:
          throw std::invalid_argument("no such step");
      }
      note(name + " " + step.verb + " done, " + std::to_string(pool.size()) + " of " +
           (pool.full() ? "full" : "free"));
    }
  }

  std::vector<std::unique_ptr<green::Pool>> pools_;
  std::vector<std::vector<Step>> actors_;
  std::vector<green::Greenlet<>> outside_;  // perhaps in no pool
  std::string trace_;
};

}  // namespace
}  // namespace greenroom

int main() {
  for (std::string line; std::getline(std::cin, line);) {
    greenroom::Program program(line);
    std::puts(program.run().c_str());
  }
}
