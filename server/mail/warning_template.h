// The text of the message that tells a mailbox's owner that it is nearly full.
//
// A template is headers, an empty line and a text, with LF or CRLF line ends, in UTF-8
// (headers by RFC 6532). `{{NAME}}` stands for:
//
//     address   the mailbox: alice@example.org
//     percent   the threshold that was reached: 90
//     used      what is in it, of what is nearer to its limit: 4.5G, or: 950 messages
//     limit     how much may be: 5G, or: 1000 messages
//     hostname  of the store
//
// It has a From of its own. Date, Message-ID and Auto-Submitted (RFC 3834) are added,
// and the headers of MIME where it has no Content-Type.
#ifndef RESTANTE_SERVER_MAIL_WARNING_TEMPLATE_H_
#define RESTANTE_SERVER_MAIL_WARNING_TEMPLATE_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/engine/engine.h"

namespace restante::mail {

class WarningTemplate {
 public:
  // kInvalidArgument: `line N: what is wrong`.
  static absl::StatusOr<WarningTemplate> Parse(absl::string_view text);
  static WarningTemplate BuiltIn();

  // The message, with CRLF line ends: always the same for the same event and host.
  std::string Fill(const engine::stored::Event& event, absl::string_view hostname) const;

 private:
  // Text, then a placeholder's name, and so on.
  struct Piece {
    std::string text, name;
  };
  std::vector<Piece> pieces_;
  bool mime_ = false;  // It has a Content-Type.
};

}  // namespace restante::mail

#endif  // RESTANTE_SERVER_MAIL_WARNING_TEMPLATE_H_
