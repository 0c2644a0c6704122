// DNS messages, as far as a name server of a test needs them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace greenroom::dns_testing {

enum class Type : std::uint16_t { a = 1, cname = 5, aaaa = 28 };
enum class Code : std::uint8_t { success = 0, failure = 2, no_such_name = 3, refused = 5 };

struct Question {
  std::string head;  // the header's number and the question itself, to be repeated
  std::string name;  // "v4.test"
  Type type = Type::a;
};

// Nothing if it is none.
std::optional<Question> parse_question(std::string_view message);

struct Record {
  Type type;
  std::string data;
};
Record address_record(const std::string& numeric_host);
Record alias_record(const std::string& name);

// With `truncated`, the client is to ask again over TCP.
enum class Flag : std::uint8_t { none, truncated };
std::string answer(const Question& question, const std::vector<Record>& records,
                   Code code = Code::success, Flag flag = Flag::none);

}  // namespace greenroom::dns_testing
