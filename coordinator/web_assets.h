// The files of the web page (coordinator/web), built into the program by web/embed.cmake.
#ifndef HYPERSHIFT_COORDINATOR_WEB_ASSETS_H_
#define HYPERSHIFT_COORDINATOR_WEB_ASSETS_H_

#include <vector>

#include "absl/strings/string_view.h"

namespace hypershift {

struct WebAsset {
  absl::string_view name;  // "index.html"
  absl::string_view bytes;
};

const std::vector<WebAsset>& WebAssets();

}  // namespace hypershift

#endif  // HYPERSHIFT_COORDINATOR_WEB_ASSETS_H_
