// A file's octets in pages, which copies share until one of them changes: an image
// of a disk costs no more than its table of pages.
#ifndef RESTANTE_TESTS_EMBEDDED_PAGED_OCTETS_H_
#define RESTANTE_TESTS_EMBEDDED_PAGED_OCTETS_H_

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "absl/strings/string_view.h"

namespace restante::embedded {

class PagedOctets {
 public:
  static constexpr uint64_t kPageBytes = 4096;

  uint64_t size() const { return size_; }

  void Append(absl::string_view octets) {
    uint64_t at = size_;
    Resize(size_ + octets.size());
    while (!octets.empty()) {
      const uint64_t within = at % kPageBytes;
      const uint64_t bytes = std::min<uint64_t>(octets.size(), kPageBytes - within);
      std::memcpy(Own(at / kPageBytes).data() + within, octets.data(), bytes);
      octets.remove_prefix(bytes);
      at += bytes;
    }
  }

  // What is added reads as zeros.
  void Resize(uint64_t size) {
    pages_.resize((size + kPageBytes - 1) / kPageBytes);
    const uint64_t within = size % kPageBytes;
    // Behind the end all is zero, so that growing needs to change nothing.
    if (size < size_ && within != 0 && pages_.back()) {
      Page& last = Own(pages_.size() - 1);
      std::fill(last.begin() + static_cast<ptrdiff_t>(within), last.end(), '\0');
    }
    size_ = size;
  }

  // Up to `bytes` octets from `offset`; how many there were.
  size_t Read(uint64_t offset, size_t bytes, char* to) const {
    if (offset >= size_) return 0;
    bytes = std::min<uint64_t>(bytes, size_ - offset);
    for (size_t done = 0; done < bytes;) {
      const uint64_t within = (offset + done) % kPageBytes;
      const size_t part = std::min<uint64_t>(bytes - done, kPageBytes - within);
      const std::shared_ptr<Page>& page = pages_[(offset + done) / kPageBytes];
      if (page) {
        std::memcpy(to + done, page->data() + within, part);
      } else {
        std::memset(to + done, 0, part);
      }
      done += part;
    }
    return bytes;
  }

  // Makes octets [from, to) what they are in `other`, zeros behind its end. The
  // size stays: what is behind that is not copied.
  void CopyFrom(const PagedOctets& other, uint64_t from, uint64_t to) {
    to = std::min(to, size_);
    while (from < to) {
      const uint64_t page = from / kPageBytes;
      const uint64_t within = from % kPageBytes;
      const uint64_t bytes = std::min(to - from, kPageBytes - within);
      const bool has = page < other.pages_.size() && other.pages_[page];
      if (within == 0 && (bytes == kPageBytes || (to == size_ && other.size_ <= size_))) {
        pages_[page] = has ? other.pages_[page] : nullptr;
      } else if (has) {
        std::memcpy(Own(page).data() + within, other.pages_[page]->data() + within, bytes);
      } else if (pages_[page]) {
        std::memset(Own(page).data() + within, 0, bytes);
      }
      from += bytes;
    }
  }

 private:
  using Page = std::array<char, kPageBytes>;

  Page& Own(uint64_t number) {
    std::shared_ptr<Page>& page = pages_[number];
    if (!page) {
      page = std::make_shared<Page>();
      page->fill('\0');
    } else if (page.use_count() > 1) {
      page = std::make_shared<Page>(*page);
    }
    return *page;
  }

  std::vector<std::shared_ptr<Page>> pages_;  // Null: zeros.
  uint64_t size_ = 0;
};

}  // namespace restante::embedded

#endif  // RESTANTE_TESTS_EMBEDDED_PAGED_OCTETS_H_
