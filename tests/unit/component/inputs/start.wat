;; SPDX-License-Identifier: Apache-2.0
;; The start function traps.
(component
  (core module $M (func $s unreachable) (start $s))
  (core instance (instantiate $M)))
