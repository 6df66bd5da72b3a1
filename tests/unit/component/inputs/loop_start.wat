;; SPDX-License-Identifier: Apache-2.0
;; The start function never ends.
(component
  (core module $M (memory 1) (func $s (loop $on (br $on))) (start $s))
  (core instance (instantiate $M)))
