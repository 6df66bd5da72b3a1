;; SPDX-License-Identifier: Apache-2.0
;; The core module of echo.wit. `echo` needs no code: its parameter is too large for core parameters
;; and lies in memory, in the same form in which the result is expected.
(module
  (import "theater:simple/timing" "sleep" (func $sleep (param i64 i32)))
  (import "theater:simple/runtime" "log" (func $log (param i32 i32)))
  (memory (export "memory") 1)
  (global $next (mut i32) (i32.const 1024))
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (local $at i32)
    ;; aligned, and room for it
    (local.set $at (i32.and (i32.add (global.get $next) (i32.sub (local.get 2) (i32.const 1)))
                            (i32.sub (i32.const 0) (local.get 2))))
    (global.set $next (i32.add (local.get $at) (local.get 3)))
    (block $fits
      (loop $more
        (br_if $fits (i32.le_u (global.get $next)
                               (i32.shl (memory.size) (i32.const 16))))
        (if (i32.eq (memory.grow (i32.const 16)) (i32.const -1)) (then unreachable))
        (br $more)))
    (local.get $at))
  (func (export "test:echo/values@1.2.3#echo") (param i32) (result i32) (local.get 0))
  (func (export "test:echo/values@1.2.3#add")
    (param $a i32) (param $has_b i32) (param $b i32) (param $has_c i32) (param $c i32) (result i32)
    ;; the payload of none is 0
    (i32.add (local.get $a) (i32.add (local.get $b) (local.get $c))))
  (func $text (param i32 i32) (result i32)
    (i32.store (i32.const 16) (local.get 0))
    (i32.store (i32.const 20) (local.get 1))
    (i32.const 16))
  (export "test:echo/values@1.2.3#text" (func $text))
  (export "test:echo/more@1.2.3#text" (func $text))
  (func (export "test:echo/values@1.2.3#nothing"))
  (func (export "test:echo/values@1.2.3#trap") unreachable)
  (func (export "test:echo/values@1.2.3#nap") (param i64) (result i32)
    (call $sleep (local.get 0) (i32.const 32))
    (i32.const 32))
  (func (export "test:echo/values@1.2.3#spin") (loop $again (br $again)))
  (func (export "test:echo/values@1.2.3#say") (param i32 i32)
    (call $log (local.get 0) (local.get 1)))
  (func (export "double") (param i32) (result i32) (i32.shl (local.get 0) (i32.const 1)))
  (func (export "turn") (param i32) (result i32) (local.get 0)))
