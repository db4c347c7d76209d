#include <stdlib.h>

#include <csignal>
#include <iostream>

#include "client/cli/context.h"

int main(int argc, char** argv) {
  // A reader that has gone (`restante ... | head`) ends the program like any other.
  std::signal(SIGPIPE, SIG_DFL);
  // What a person has to know of a connection that fails is in the error.
  setenv("GRPC_VERBOSITY", "NONE", /*overwrite=*/0);
  return restante::cli::RunCommandLine(argc, argv, std::cout, std::cerr);
}
