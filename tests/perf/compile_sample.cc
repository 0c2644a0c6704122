// What the program `compile` compiles with and without greenroom: a server of 20 request types, and
// a function that sends each of them. Without, the same server is called directly.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#ifndef GREENROOM_PERF_PLAIN
#include "greenroom/actors/actors.h"
#endif

namespace {

struct Account {
  std::int64_t balance = 0;
  double limit = 0;
  bool is_frozen = false;
  std::vector<std::string> notes;
  double rate() const { return static_cast<double>(balance); }
};

struct Bank {
  struct Open {
    std::string name;
  };
  struct Close {
    std::string name;
  };
  struct Deposit {
    std::string name;
    std::int64_t amount;
  };
  struct Withdraw {
    std::string name;
    std::int64_t amount;
  };
  struct Balance {
    std::string name;
  };
  struct Rename {
    std::string name;
    std::string to;
  };
  struct Freeze {
    std::string name;
  };
  struct Thaw {
    std::string name;
  };
  struct IsFrozen {
    std::string name;
  };
  struct Note {
    std::string name;
    std::string text;
  };
  struct Notes {
    std::string name;
  };
  struct Forget {
    std::string name;
  };
  struct SetLimit {
    std::string name;
    double limit;
  };
  struct Limit {
    std::string name;
  };
  struct Names {};
  struct Count {};
  struct Sum {};
  struct Richest {};
  struct Interest {
    double rate;
  };
  struct Reset {};

  bool handle(const Open& open) { return accounts.try_emplace(open.name).second; }
  bool handle(const Close& close) { return accounts.erase(close.name) > 0; }
  std::int64_t handle(const Deposit& deposit) {
    return accounts[deposit.name].balance += deposit.amount;
  }
  std::int64_t handle(const Withdraw& withdraw) {
    return accounts[withdraw.name].balance -= withdraw.amount;
  }
  std::int64_t handle(const Balance& balance) { return accounts[balance.name].balance; }
  bool handle(const Rename& rename) {
    accounts[rename.to] = accounts[rename.name];
    return accounts.erase(rename.name) > 0;
  }
  void handle(const Freeze& freeze) { accounts[freeze.name].is_frozen = true; }
  void handle(const Thaw& thaw) { accounts[thaw.name].is_frozen = false; }
  bool handle(const IsFrozen& query) { return accounts[query.name].is_frozen; }
  std::size_t handle(const Note& note) {
    accounts[note.name].notes.push_back(note.text);
    return accounts[note.name].notes.size();
  }
  std::vector<std::string> handle(const Notes& query) { return accounts[query.name].notes; }
  void handle(const Forget& forget) { accounts[forget.name].notes.clear(); }
  double handle(const SetLimit& set) { return std::exchange(accounts[set.name].limit, set.limit); }
  double handle(const Limit& query) { return accounts[query.name].limit; }
  std::vector<std::string> handle(const Names&) {
    std::vector<std::string> names;
    for (const auto& [name, account] : accounts) names.push_back(name);
    return names;
  }
  std::size_t handle(const Count&) { return accounts.size(); }
  std::int64_t handle(const Sum&) {
    std::int64_t sum = 0;
    for (const auto& [name, account] : accounts) sum += account.balance;
    return sum;
  }
  std::optional<std::string> handle(const Richest&) {
    const auto richest = std::max_element(
        accounts.begin(), accounts.end(),
        [](const auto& a, const auto& b) { return a.second.balance < b.second.balance; });
    if (richest == accounts.end()) return std::nullopt;
    return richest->first;
  }
  void handle(const Interest& interest) {
    for (auto& [name, account] : accounts) {
      account.balance += static_cast<std::int64_t>(account.rate() * interest.rate);
    }
  }
  void handle(const Reset&) { accounts.clear(); }

  std::map<std::string, Account> accounts;
};

}  // namespace

#ifdef GREENROOM_PERF_PLAIN
void use_bank() {
  Bank bank;
  auto ask = [&](auto request) { return bank.handle(request); };
#else
void use_bank() {
  const auto bank = greenroom::start<Bank>();
  auto ask = [&](auto request) { return greenroom::call(bank, std::move(request)); };
#endif
  ask(Bank::Open{"a"});
  ask(Bank::Close{"a"});
  ask(Bank::Deposit{"a", 1});
  ask(Bank::Withdraw{"a", 1});
  ask(Bank::Balance{"a"});
  ask(Bank::Rename{"a", "b"});
  ask(Bank::Freeze{"a"});
  ask(Bank::Thaw{"a"});
  ask(Bank::IsFrozen{"a"});
  ask(Bank::Note{"a", "text"});
  ask(Bank::Notes{"a"});
  ask(Bank::Forget{"a"});
  ask(Bank::SetLimit{"a", 1.0});
  ask(Bank::Limit{"a"});
  ask(Bank::Names{});
  ask(Bank::Count{});
  ask(Bank::Sum{});
  ask(Bank::Richest{});
  ask(Bank::Interest{0.5});
  ask(Bank::Reset{});
}
