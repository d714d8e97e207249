#include "faults/sweeps.hpp"

#include <algorithm>
#include <cerrno>
#include <ostream>

#include "faults/faulty_fs.hpp"

namespace tenon::test {

namespace {

/// What became of one save.
enum class End : std::uint8_t { Acknowledged, Failed, Killed };

End run(const Writer& writer, io::Fs& fs) {
  try {
    writer.save(fs, {'b'});
    return End::Acknowledged;
  } catch (const std::exception&) {
    return End::Failed;
  }
}

End run_until_killed(const Writer& writer, FaultyFs& fs) {
  const End end = run(writer, fs);
  return fs.is_dead() ? End::Killed : end;
}

ModelFs start(const Writer& writer, Before before) {
  ModelFs fs;
  if (before == Before::OldVersion) writer.save(fs, {'a'});
  return ModelFs(fs.after_kill());  // what was saved before is safe
}

class Judge {
 public:
  Judge(const Writer& writer, Before before) : writer_(writer), old_(before == Before::OldVersion ? 'a' : '-') {}

  /// A reader, on the machine as it stands.
  void read(ModelFs& fs, End end, const std::string& what) {
    ++outcome.points;
    const char found = writer_.read(fs);
    if (end == End::Acknowledged) {
      if (found != 'b') note(outcome.false_ok, what, found);
    } else if (found == '?') {
      note(outcome.torn, what, found);
    } else if (found == '-' && old_ != '-') {
      note(outcome.lost, what, found);
    } else if (found != old_ && found != 'b') {
      note(outcome.torn, what, found);
    }
  }

  /// A reader after a save over what `old` says: `old` or the new one, which has to be there when it was acknowledged.
  void read_after(ModelFs& fs, End end, char old, const std::string& what) {
    old_ = old;
    read(fs, end, what);
  }

  /// Nothing may lie about after a save that returned or threw.
  void tidy(ModelFs& fs, const std::string& what) {
    if (!writer_.left_behind(fs).empty()) note(outcome.left_behind, what + ": " + writer_.left_behind(fs).front(), ' ');
  }

  /// The next save, by another process: it must work and take the dead one's files away.
  void next_save(const ModelFs::Disk& disk, const std::string& what, const std::string& name = "model-2-2") {
    ModelFs fs(disk);
    fs.writer_name = name;
    try {
      writer_.save(fs, {'c'});
    } catch (const std::exception& error) {
      return note(outcome.not_cleaned, what + ": " + error.what(), ' ');
    }
    if (writer_.read(fs) != 'c') return note(outcome.not_cleaned, what + ": next save", writer_.read(fs));
    const auto others = writer_.left_behind(fs);
    if (!others.empty()) note(outcome.not_cleaned, what + ": " + others.front(), ' ');
  }

  Outcome outcome;

 private:
  void note(std::uint64_t& count, const std::string& what, char found) {
    ++count;
    if (outcome.examples.size() < 5) outcome.examples.push_back(what + " -> " + found);
  }
  const Writer& writer_;
  char old_;
};

std::string name_of(Call call) { return std::string(kCallNames[static_cast<std::size_t>(call)]); }

/// Failures that each call may really have.
std::vector<int> errors_of(Call call) {
  switch (call) {
    case Call::Write: return {EIO, ENOSPC, EDQUOT, EFBIG};
    case Call::Allocate: return {ENOSPC, EIO, EOPNOTSUPP};
    case Call::Create: return {EROFS, EMFILE, EACCES, ENOSPC};
    case Call::Rename: return {EIO, ENOSPC, EROFS};
    case Call::Open: return {EMFILE, EACCES};
    case Call::Lock: return {ENOLCK};
    case Call::Ask:
    case Call::Read:
    case Call::Sync:
    case Call::SyncFolder:
    case Call::Close:
    case Call::Attributes:
    case Call::Unlink: return {EIO};
  }
  return {};
}

/// What the calls of a save without faults are.
std::vector<Call> calls_of(const Writer& writer, Before before) {
  ModelFs fs = start(writer, before);
  std::vector<Call> calls;
  FaultyFs counting(fs, [&](std::uint64_t, Call call) {
    calls.push_back(call);
    return std::nullopt;
  });
  writer.save(counting, {'b'});
  return calls;
}

/// `tidies_up`: whether a failed save can leave nothing behind.
void one_error(const Writer& writer, Before before, const FaultyFs::Choose& choose, const std::string& what,
               bool tidies_up, Judge& judge) {
  ModelFs fs = start(writer, before);
  FaultyFs faulty(fs, choose);
  faulty.on_lost = [&](int file, Call call) { call == Call::Close ? fs.cut_at_close(file) : fs.lose_waiting(file); };
  const End end = run(writer, faulty);
  judge.read(fs, end, what);
  if (end != End::Acknowledged) {
    if (tidies_up) judge.tidy(fs, what);
    return judge.next_save(fs.after_kill(), what);
  }
  ++judge.outcome.acknowledged;
  for (const ModelFs::Disk& disk : fs.after_power_cut(16)) {
    ModelFs after(disk);
    judge.read(after, end, what + ", then no power");
  }
}

}  // namespace

void Outcome::add(const Outcome& other) {
  points += other.points;
  acknowledged += other.acknowledged;
  torn += other.torn;
  lost += other.lost;
  false_ok += other.false_ok;
  left_behind += other.left_behind;
  not_cleaned += other.not_cleaned;
  is_cut_short = is_cut_short || other.is_cut_short;
  examples.insert(examples.end(), other.examples.begin(), other.examples.end());
}

std::ostream& operator<<(std::ostream& out, const Outcome& outcome) {
  out << outcome.points << " points: " << outcome.torn << " torn, " << outcome.lost << " lost, " << outcome.false_ok
      << " acknowledged and lost, " << outcome.left_behind << " left behind, " << outcome.not_cleaned
      << " not cleaned by the next save" << (outcome.is_cut_short ? ", cut short" : "");
  for (const std::string& example : outcome.examples) out << "\n  " << example;
  return out;
}

namespace {

FaultyFs::Choose kill_at(std::uint64_t n) {
  return [n](std::uint64_t call, Call) {
    return call == n ? std::optional(Fault{Fault::Kind::Kill, 0}) : std::nullopt;
  };
}

Outcome cut_short(Judge& judge) {
  judge.outcome.is_cut_short = true;
  return judge.outcome;
}

}  // namespace

Outcome kill_sweep(const Writer& writer, Before before, Until end_of_time) {
  Judge judge(writer, before);
  for (std::uint64_t n = 1;; ++n) {
    if (is_over(end_of_time)) return cut_short(judge);
    ModelFs fs = start(writer, before);
    FaultyFs faulty(fs, kill_at(n));
    const End end = run_until_killed(writer, faulty);
    const std::string what = "killed at call " + std::to_string(n);
    ModelFs after(fs.after_kill());
    judge.read(after, end, what);
    if (faulty.faults() == 0) {
      judge.tidy(after, "no fault");
      return judge.outcome;
    }
    judge.next_save(fs.after_kill(), what);
  }
}

Outcome power_cut_sweep(const Writer& writer, Before before, std::size_t states, Until end_of_time) {
  Judge judge(writer, before);
  for (std::uint64_t n = 1;; ++n) {
    if (is_over(end_of_time)) return cut_short(judge);
    ModelFs fs = start(writer, before);
    FaultyFs faulty(fs, kill_at(n));
    const End end = run_until_killed(writer, faulty);
    std::size_t number = 0;
    for (const ModelFs::Disk& disk : fs.after_power_cut(states)) {
      const std::string what = "no power at call " + std::to_string(n) + ", disk " + std::to_string(number++);
      ModelFs after(disk);
      judge.read(after, end, what);
      judge.next_save(disk, what);
    }
    if (faulty.faults() == 0) return judge.outcome;
  }
}

Outcome error_sweep(const Writer& writer, Before before, Until end_of_time) {
  Judge judge(writer, before);
  const std::vector<Call> calls = calls_of(writer, before);
  for (std::size_t i = 0; i < calls.size(); ++i) {
    if (is_over(end_of_time)) return cut_short(judge);
    const std::uint64_t n = i + 1;
    // Without unlink nothing can be removed; and when names may or may not be on the disk, the journal must stay.
    const bool tidies_up = calls[i] != Call::Unlink && calls[i] != Call::SyncFolder && calls[i] != Call::Open;
    const std::string where = name_of(calls[i]) + " (call " + std::to_string(n) + ")";
    for (const int error : errors_of(calls[i])) {
      const Fault fault{Fault::Kind::Error, error};
      const auto once = [=](std::uint64_t call, Call) { return call == n ? std::optional(fault) : std::nullopt; };
      const auto for_ever = [=, kind = calls[i]](std::uint64_t call, Call is) {
        return call >= n && is == kind ? std::optional(fault) : std::nullopt;
      };
      one_error(writer, before, once, where + " fails once with " + std::to_string(error), tidies_up, judge);
      one_error(writer, before, for_ever, where + " fails for ever with " + std::to_string(error), tidies_up, judge);
    }
    if (calls[i] == Call::Rename) {
      const Fault lie{Fault::Kind::Lie, 0};
      const auto once = [=](std::uint64_t call, Call) { return call == n ? std::optional(lie) : std::nullopt; };
      const auto for_ever = [=](std::uint64_t call, Call is) {
        return call >= n && is == Call::Rename ? std::optional(lie) : std::nullopt;
      };
      one_error(writer, before, once, where + " happens and says it failed", tidies_up, judge);
      one_error(writer, before, for_ever, where + " happens and says it failed, for ever", tidies_up, judge);
    }
    if (calls[i] != Call::Write && calls[i] != Call::Read) continue;
    const auto is_short = [=](std::uint64_t call, Call) {
      return call == n ? std::optional(Fault{Fault::Kind::Short, 0}) : std::nullopt;
    };
    one_error(writer, before, is_short, where + " stops short", tidies_up, judge);
  }
  return judge.outcome;
}

namespace {

/// A save by another process after one that was killed; its m-th call fails. Whether it had so many.
bool one_failing_recovery(const Writer& writer, const ModelFs::Disk& disk, std::uint64_t m, const std::string& killed,
                          Judge& judge) {
  ModelFs fs(disk);
  const char before = writer.read(fs);
  fs.writer_name = "model-2-2";
  FaultyFs faulty(fs, [m](std::uint64_t call, Call) {
    return call == m ? std::optional(Fault{Fault::Kind::Error, EIO}) : std::nullopt;
  });
  const std::string what = killed + ", then call " + std::to_string(m) + " fails";
  const End end = run(writer, faulty);
  judge.read_after(fs, end, before, what);
  judge.next_save(fs.after_kill(), what, "model-3-3");
  return faulty.faults() > 0;
}

}  // namespace

Outcome recovery_sweep(const Writer& writer, Before before, Until end_of_time) {
  Judge judge(writer, before);
  for (std::uint64_t n = 1;; ++n) {
    ModelFs fs = start(writer, before);
    FaultyFs faulty(fs, kill_at(n));
    run_until_killed(writer, faulty);
    if (faulty.faults() == 0) return judge.outcome;
    const ModelFs::Disk disk = fs.after_kill();
    const std::string killed = "killed at call " + std::to_string(n);
    for (std::uint64_t m = 1; one_failing_recovery(writer, disk, m, killed, judge); ++m)
      if (is_over(end_of_time)) return cut_short(judge);
  }
}

Outcome full_disk_sweep(const Writer& writer, Before before, std::uint64_t step, Until end_of_time) {
  Judge judge(writer, before);
  for (const bool knows : {true, false})       // does the disk tell how much is free?
    for (const bool reserves : {true, false})  // can it reserve?
      for (std::uint64_t room = 0;; room += step) {
        if (is_over(end_of_time)) return cut_short(judge);
        ModelFs fs = start(writer, before);
        std::uint64_t used = 0;
        for (const std::string& path : fs.paths()) used += fs.content(path)->size();
        fs.capacity = used + room;
        fs.tells_free_bytes = knows;
        fs.can_allocate = reserves;
        const End end = run(writer, fs);
        const std::string what = std::to_string(room) + " bytes free";
        judge.read(fs, end, what);
        judge.tidy(fs, what);
        if (end == End::Acknowledged) break;
      }
  return judge.outcome;
}

}  // namespace tenon::test
