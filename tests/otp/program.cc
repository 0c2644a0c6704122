#include "greenroom/tests/otp/program.h"

#include <sstream>
#include <stdexcept>

namespace otp {

namespace {

std::vector<std::string> words_of(const std::string& line) {
  std::istringstream in(line);
  std::vector<std::string> words;
  for (std::string word; in >> word;) words.push_back(word);
  return words;
}

// "link p1 ; send p1 m5", from the word at `at` to the end or a "&", which is skipped.
Commands read_commands(const std::vector<std::string>& words, std::size_t& at) {
  Commands commands(1);
  for (; at < words.size(); ++at) {
    if (words[at] == "&") break;
    if (words[at] == ";") {
      commands.emplace_back();
    } else {
      commands.back().push_back(words[at]);
    }
  }
  ++at;
  return commands;
}

std::vector<Batch> read_step(const std::vector<std::string>& words) {
  std::vector<Batch> batches;
  for (std::size_t at = 1; at + 2 < words.size();) {
    const int actor = number_of(words[at]);
    at += 2;  // and the colon
    batches.push_back({actor, read_commands(words, at)});
  }
  return batches;
}

}  // namespace

int number_of(const std::string& variable) { return std::stoi(variable.substr(1)); }

std::vector<Program> read_programs(std::istream& in) {
  std::vector<Program> programs;
  for (std::string line; std::getline(in, line);) {
    const std::vector<std::string> words = words_of(line);
    if (words.empty() || words[0] == "end") continue;
    if (words[0] == "program") {
      programs.push_back({.seed = words.at(1)});
    } else if (programs.empty()) {
      throw std::runtime_error("no program before: " + line);
    } else if (words[0] == "actors") {
      for (std::size_t i = 1; i < words.size(); ++i)
        programs.back().actors.push_back(number_of(words[i]));
    } else if (words[0] == "body") {
      std::size_t at = 3;
      programs.back().bodies[words.at(1)] = read_commands(words, at);
    } else if (words[0] == "step") {
      programs.back().steps.push_back(read_step(words));
    } else {
      throw std::runtime_error("not understood: " + line);
    }
  }
  return programs;
}

}  // namespace otp
