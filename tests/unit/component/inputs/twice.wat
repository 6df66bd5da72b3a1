;; SPDX-License-Identifier: Apache-2.0
;; One nested component with core code, instantiated twice: each instance has its own counter, and
;; the second calls the first through lift and lower. The outermost one only wires them.
(component
  (component $Counter
    (import "next" (func $next (param "text" string) (result string)))
    (core module $Memory (memory (export "memory") 1)
      (global $break (mut i32) (i32.const 1024))
      (func (export "realloc") (param i32 i32 i32 i32) (result i32) (local $p i32)
        (local.set $p (global.get $break))
        (global.set $break (i32.add (global.get $break) (local.get 3)))
        (local.get $p)))
    (core instance $memory (instantiate $Memory))
    (alias core export $memory "memory" (core memory $m))
    (alias core export $memory "realloc" (core func $realloc))
    (core func $next' (canon lower (func $next) (memory $m) (realloc $realloc)))
    (core module $Main
      (import "env" "memory" (memory 1))
      (import "env" "next" (func $next (param i32 i32 i32)))
      (global $count (mut i32) (i32.const 0))
      ;; Adds a digit, its number of calls so far, to the text and passes it on.
      (func (export "run") (param $at i32) (param $size i32) (result i32)
        (global.set $count (i32.add (global.get $count) (i32.const 1)))
        (memory.copy (i32.const 64) (local.get $at) (local.get $size))
        (i32.store8 (i32.add (i32.const 64) (local.get $size)) (i32.add (i32.const 48) (global.get $count)))
        (call $next (i32.const 64) (i32.add (local.get $size) (i32.const 1)) (i32.const 16))
        (i32.const 16)))
    (core instance $main (instantiate $Main
      (with "env" (instance (export "memory" (memory $m)) (export "next" (func $next'))))))
    (func (export "run") (param "text" string) (result string)
      (canon lift (core func $main "run") (memory $m) (realloc $realloc))))
  (import "host" (func $host (param "text" string) (result string)))
  (instance $first (instantiate $Counter (with "next" (func $host))))
  (alias export $first "run" (func $run))
  (instance $second (instantiate $Counter (with "next" (func $run))))
  (export "first" (func $first "run"))
  (export "second" (func $second "run"))
  (export "host-again" (func $host)))
