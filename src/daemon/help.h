// The texts made from the table of commands besides `--help`: the manual page, docs/commands.md and shell
// completion. Pure: the same table gives the same text.
#pragma once

#include <string>

namespace sallyport::daemon {

std::string manual_page();        // roff, section 8
std::string commands_markdown();  // docs/commands.md, whole
std::string bash_completion();

// The version of the program, from CMake.
std::string program_version();

}  // namespace sallyport::daemon
