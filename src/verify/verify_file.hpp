// verify() of a file that is open, or of bytes that stand for one.
#pragma once

#include <memory>
#include <string>

#include <tenon/verify.hpp>

#include "io/mapped_file.hpp"

namespace tenon::verification {

/// A null `file` means the folder at `path`. Throws as verify() does.
VerifiedFile verify_file(std::shared_ptr<const io::MappedFile> file, const std::string& path,
                         const VerifyOptions& options);

}  // namespace tenon::verification
