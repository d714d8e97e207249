// What the measuring programs share: they stay alive, so that memory is warm, and answer one line of words with one
// line of JSON.
//
//   request   COMMAND ARGUMENT...            no spaces within an argument
//   answer    {"seconds": 0.123, ...}        or {"error": "..."}
#pragma once

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <fstream>
#include <functional>
#include <iostream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

namespace bench {

using Arguments = std::vector<std::string>;
using Answer = std::map<std::string, double>;
using Commands = std::map<std::string, std::function<Answer(const Arguments&)>>;

inline double seconds_of(const std::function<void()>& work) {
  const auto began = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
}

/// A field of /proc/self/status in bytes: VmHWM, VmRSS, RssAnon.
inline double memory_field(const std::string& field) {
  std::ifstream status("/proc/self/status");
  for (std::string name; status >> name;) {
    double kib = 0;
    if (name == field + ":" && status >> kib) return kib * 1024;
    status.ignore(1 << 16, '\n');
  }
  return 0;
}

/// Seconds, and by how much the resident memory rose above what was there before, at its highest: mapped pages count.
inline Answer measured(const std::function<void()>& work) {
  std::ofstream("/proc/self/clear_refs") << "5";  // VmHWM starts over
  const double before = memory_field("VmRSS"), anonymous = memory_field("RssAnon");
  Answer answer{{"seconds", seconds_of(work)}};
  answer["extra_rss"] = memory_field("VmHWM") - before;
  answer["extra_anonymous_after"] = memory_field("RssAnon") - anonymous;
  return answer;
}

inline int serve(const Commands& commands) {
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    std::string command;
    words >> command;
    Arguments arguments;
    for (std::string word; words >> word;) arguments.push_back(word);
    try {
      const Answer answer = commands.at(command)(arguments);
      std::string text;
      for (const auto& [name, value] : answer)
        text += (text.empty() ? "{\"" : ", \"") + name + "\": " + std::to_string(value);
      std::puts((text + "}").c_str());
    } catch (const std::exception& error) {
      std::string what = error.what();
      for (char& c : what)
        if (c == '"' || c == '\\' || c == '\n') c = '\'';
      std::puts(("{\"error\": \"" + what.substr(0, 300) + "\"}").c_str());
    }
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace bench
