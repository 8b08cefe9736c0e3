#include "harness/provenance.h"

#include "cases/error.h"
#include "harness/version.h"
#include "reference/reference.h"

namespace attest {

Provenance provenance(const std::string& command) {
  return {concat("attest ", version(), ' ', commit()),
          concat(toolchain(), ", Eigen ", reference::eigen_version(), ", reference built for ",
                 reference::instruction_set()),
          command};
}

}  // namespace attest
