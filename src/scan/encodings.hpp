// Bytes written as text: base64 and hexadecimal.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace tenon::scanning {

/// Standard and URL-safe base64 up to its padding; white space is passed over. Nothing for any other character.
std::optional<std::string> decode_base64(std::string_view text);

/// Pairs of hexadecimal digits.
std::optional<std::string> decode_hex(std::string_view text);

/// The text is the base64 or hexadecimal form of something that begins as a pickle, zlib or gzip stream does.
bool begins_like_encoded_pickle(std::string_view text);
std::optional<std::string> decode_encoded_pickle(std::string_view text);

}  // namespace tenon::scanning
