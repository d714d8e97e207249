// The mark of a public symbol. Everything else is hidden (-fvisibility=hidden), so the library's surface is this
// folder.
#pragma once

#if defined(_WIN32)
#define TENON_API
#else
#define TENON_API __attribute__((visibility("default")))
#endif
