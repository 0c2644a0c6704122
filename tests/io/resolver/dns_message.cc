#include "greenroom/tests/io/resolver/dns_message.h"

#include <arpa/inet.h>

namespace greenroom::dns_testing {

namespace {

constexpr std::size_t header_size = 12;

std::uint16_t number_at(std::string_view text, std::size_t at) {
  return static_cast<std::uint16_t>(static_cast<unsigned char>(text[at]) << 8 |
                                    static_cast<unsigned char>(text[at + 1]));
}

void append_number(std::string& text, std::size_t number) {
  text += static_cast<char>(number >> 8);
  text += static_cast<char>(number & 0xff);
}

void append_record(std::string& text, const std::string& name, const Record& record) {
  text += name;
  append_number(text, static_cast<std::uint16_t>(record.type));
  append_number(text, 1);  // the internet
  append_number(text, 0);
  append_number(text, 60);  // valid for so many seconds
  append_number(text, record.data.size());
  text += record.data;
}

}  // namespace

std::optional<Question> parse_question(std::string_view message) {
  Question question;
  std::size_t at = header_size;
  while (at < message.size() && message[at] != 0) {
    const std::size_t size = static_cast<unsigned char>(message[at]);
    if (at + 1 + size >= message.size()) return std::nullopt;
    if (!question.name.empty()) question.name += '.';
    question.name += message.substr(at + 1, size);
    at += 1 + size;
  }
  if (at + 5 > message.size()) return std::nullopt;
  question.type = static_cast<Type>(number_at(message, at + 1));
  question.head = std::string(message.substr(0, 2)) +
                  std::string(message.substr(header_size, at + 5 - header_size));
  return question;
}

Record address_record(const std::string& numeric_host) {
  char bytes[16];
  if (inet_pton(AF_INET, numeric_host.c_str(), bytes) == 1) return {Type::a, {bytes, 4}};
  inet_pton(AF_INET6, numeric_host.c_str(), bytes);
  return {Type::aaaa, {bytes, 16}};
}

Record alias_record(const std::string& name) {
  std::string data;
  for (std::size_t from = 0; from <= name.size();) {
    const std::size_t to = std::min(name.find('.', from), name.size());
    data += static_cast<char>(to - from);
    data.append(name, from, to - from);
    from = to + 1;
  }
  return {Type::cname, data + '\0'};
}

std::string answer(const Question& question, const std::vector<Record>& records, Code code,
                   Flag flag) {
  constexpr unsigned is_answer = 0x8180;
  constexpr unsigned is_truncated = 0x0200;
  std::string text = question.head.substr(0, 2);
  append_number(
      text, is_answer | (flag == Flag::truncated ? is_truncated : 0) | static_cast<unsigned>(code));
  append_number(text, 1);  // question
  append_number(text, records.size());
  append_number(text, 0);
  append_number(text, 0);
  text += question.head.substr(2);
  std::string name("\xc0\x0c", 2);  // the question's
  for (const Record& record : records) {
    append_record(text, name, record);
    if (record.type == Type::cname) name = record.data;
  }
  return text;
}

}  // namespace greenroom::dns_testing
