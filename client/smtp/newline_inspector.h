// Finds what is not a line in a mail text: RFC 5321, 2.3.8 and 4.1.1.4.
#ifndef RESTANTE_CLIENT_SMTP_NEWLINE_INSPECTOR_H_
#define RESTANTE_CLIENT_SMTP_NEWLINE_INSPECTOR_H_

#include "absl/strings/string_view.h"

namespace restante::smtp {

// Looks at the octets of a text, however they are split.
class NewlineInspector {
 public:
  // The next octets.
  void Inspect(absl::string_view in);

  // Whether the text so far held a bare CR, a bare LF or NUL. A CR at its end may
  // still get its LF.
  bool irregular() const { return irregular_; }

  // As above, when nothing follows.
  bool irregular_at_end() const { return irregular_ || behind_cr_; }

 private:
  bool irregular_ = false;
  // The last octet was a CR.
  bool behind_cr_ = false;
};

}  // namespace restante::smtp

#endif  // RESTANTE_CLIENT_SMTP_NEWLINE_INSPECTOR_H_
