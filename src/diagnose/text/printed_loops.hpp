// PrintedLoops: lines that a program printed in a loop, one for each tensor. They differ in one word, and that word is
// a name, however it is spelled.
//
//   WARNING - epoch not found in model dictionary          the word before what is said of it
//   INFO: Skipping lstm_init_h because it is not in the model
//   Missing key: prior                                     or the one behind
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "diagnose/text/cues.hpp"

namespace tenon::diagnosis {

class PrintedLoops {
 public:
  explicit PrintedLoops(std::string_view text);  ///< with its line ends

  /// Lines that are no examples within another message: three of one kind or more.
  bool has_long() const;

  /// The name that a line tells; nothing where the line stands alone and no noun (`Key v1_5 not found`) says that its
  /// word is one.
  std::optional<std::string> name_in(std::string_view line, const std::vector<CuePlace>& cues) const;

 private:
  std::map<std::string, std::set<std::string>> words_;  ///< of each line without its name: the names seen in it
};

}  // namespace tenon::diagnosis
