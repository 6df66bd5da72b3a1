;; Components in components: resources that cross between them, two instances of one definition,
;; inline instances, core modules and components as arguments, exports that promise less.
(component
  ;; Implements `thing`; the destructor notes the representation.
  (component $Maker
    (import "base" (func $base (result u32)))
    (core module $Table
      (table (export "table") 1 funcref)
      (func (export "dtor") (param i32)
        (call_indirect (param i32) (local.get 0) (i32.const 0))))
    (core instance $table (instantiate $Table))
    (type $thing' (resource (rep i32) (dtor (core func $table "dtor"))))
    (export $thing "thing" (type $thing'))
    (canon resource.new $thing' (core func $new))
    (canon resource.drop $thing' (core func $drop))
    (canon lower (func $base) (core func $base'))
    (core module $M
      (import "" "table" (table 1 funcref))
      (import "" "new" (func $new (param i32) (result i32)))
      (import "" "drop" (func $drop (param i32)))
      (import "" "base" (func $base (result i32)))
      (global $dropped (mut i32) (i32.const 0))
      (global $mode (mut i32) (i32.const 0))
      (func $dtor (param i32) (global.set $dropped (local.get 0)))
      (elem (i32.const 0) $dtor)
      (func (export "make") (param i32) (result i32)
        (call $new (i32.add (call $base) (local.get 0))))
      (func (export "get") (param i32) (result i32) (local.get 0))
      (func (export "take") (param i32) (result i32)
        (call $drop (local.get 0)) (global.get $dropped))
      (func (export "post") (param i32)
        (if (i32.eq (local.get 0) (i32.const 99)) (then (drop (call $new (i32.const 1))))))
      (func (export "dropped") (result i32) (global.get $dropped)))
    (core instance $m (instantiate $M (with "" (instance
      (export "table" (table $table "table"))
      (export "new" (func $new))
      (export "drop" (func $drop))
      (export "base" (func $base'))))))
    (func (export "make") (param "n" u32) (result (own $thing))
      (canon lift (core func $m "make")))
    (func (export "get") (param "t" (borrow $thing)) (result u32)
      (canon lift (core func $m "get") (post-return (core func $m "post"))))
    (func (export "take") (param "t" (own $thing)) (result u32)
      (canon lift (core func $m "take")))
    (func (export "dropped") (result u32) (canon lift (core func $m "dropped")))
  )

  ;; What users need of it: no `dropped`.
  (type $things (instance
    (export "thing" (type $thing (sub resource)))
    (export "make" (func (param "n" u32) (result (own $thing))))
    (export "get" (func (param "t" (borrow $thing)) (result u32)))
    (export "take" (func (param "t" (own $thing)) (result u32)))))

  ;; Uses things, its own core code given from outside.
  (component $User
    (import "things" (instance $things (type $things)))
    (import "code" (core module $Code
      (import "" "make" (func (param i32) (result i32)))
      (import "" "get" (func (param i32) (result i32)))
      (import "" "take" (func (param i32) (result i32)))
      (import "" "drop" (func (param i32)))
      (export "through" (func (param i32) (result i32)))
      (export "make" (func (param i32) (result i32)))
      (export "use" (func (param i32) (result i32)))
      (export "drop" (func (param i32)))))
    (alias export $things "thing" (type $thing))
    (canon lower (func $things "make") (core func $make))
    (canon lower (func $things "get") (core func $get))
    (canon lower (func $things "take") (core func $take))
    (canon resource.drop $thing (core func $drop))
    (core instance $code (instantiate $Code (with "" (instance
      (export "make" (func $make))
      (export "get" (func $get))
      (export "take" (func $take))
      (export "drop" (func $drop))))))
    (func (export "through") (param "n" u32) (result u32) (canon lift (core func $code "through")))
    (func (export "make") (param "n" u32) (result (own $thing))
      (canon lift (core func $code "make")))
    (func (export "use") (param "t" (borrow $thing)) (result u32)
      (canon lift (core func $code "use")))
    (func (export "raw-get") (param "h" u32) (result u32) (canon lift (core func $code "use")))
    (func (export "raw-make") (param "n" u32) (result u32) (canon lift (core func $code "make")))
    (func (export "raw-drop") (param "h" u32) (canon lift (core func $code "drop")))
  )

  (core module $code
    (import "" "make" (func $make (param i32) (result i32)))
    (import "" "get" (func $get (param i32) (result i32)))
    (import "" "take" (func $take (param i32) (result i32)))
    (import "" "drop" (func $drop (param i32)))
    ;; make, borrow twice, give away: 3 * (base + n)
    (func (export "through") (param i32) (result i32)
      (local $h i32)
      (local.set $h (call $make (local.get 0)))
      (i32.add (call $get (local.get $h))
        (i32.add (call $get (local.get $h)) (call $take (local.get $h)))))
    (func (export "make") (param i32) (result i32) (call $make (local.get 0)))
    ;; Borrows what it has borrowed, and drops the borrow unless the value is 1000.
    (func (export "use") (param i32) (result i32)
      (local $value i32)
      (local.set $value (call $get (local.get 0)))
      (if (i32.ne (local.get $value) (i32.const 1000)) (then (call $drop (local.get 0))))
      (local.get $value))
    (func (export "drop") (param i32) (call $drop (local.get 0))))

  (core module $constants
    (func (export "ten") (result i32) (i32.const 10))
    (func (export "hundred") (result i32) (i32.const 100)))
  (core instance $consts (instantiate $constants))
  (func $ten (result u32) (canon lift (core func $consts "ten")))

  ;; A component around a component that is given to it.
  (component $Around
    (import "maker" (component $M
      (import "base" (func (result u32)))
      (import "unused" (func))
      (export "thing" (type $thing (sub resource)))
      (export "make" (func (param "n" u32) (result (own $thing))))
      (export "get" (func (param "t" (borrow $thing)) (result u32)))
      (export "take" (func (param "t" (own $thing)) (result u32)))
      (export "dropped" (func (result u32)))))
    (core module $c
      (func (export "base") (result i32) (i32.const 10))
      (func (export "nothing")))
    (component $Base
      (core module $c (func (export "base") (result i32) (i32.const 10)) (func (export "nothing")))
      (core instance $c (instantiate $c))
      (func (export "base") (result u32) (canon lift (core func $c "base")))
      (func (export "nothing") (canon lift (core func $c "nothing"))))
    (instance $b (instantiate $Base))
    (instance $m (instantiate $M (with "base" (func $b "base")) (with "unused" (func $b "nothing"))))
    (export "inner" (instance $m)))
  (instance $around (instantiate $Around (with "maker" (component $Maker))))
  (alias export $around "inner" (instance $first))

  ;; The second one by way of an inline instance, and through a component without code.
  (component $Base2
    (core module $c (func (export "base") (result i32) (i32.const 100)))
    (core instance $c (instantiate $c))
    (func (export "base") (result u32) (canon lift (core func $c "base"))))
  (instance $base2 (instantiate $Base2))
  (instance $second' (instantiate $Maker (with "base" (func $base2 "base"))))
  (alias export $second' "thing" (type $second-thing))
  (instance $second
    (export "thing" (type $second-thing))
    (export "make" (func $second' "make"))
    (export "get" (func $second' "get"))
    (export "take" (func $second' "take")))

  (instance $user1 (instantiate $User
    (with "things" (instance $first)) (with "code" (core module $code))))
  (instance $user2 (instantiate $User
    (with "things" (instance $second)) (with "code" (core module $code))))

  ;; From the outside: the first maker under a type that leaves out `dropped`.
  (export "first" (instance $first) (instance (type $things)))
  (export $all "all" (instance $first))
  (export "second" (instance $second))
  (export "dropped" (func $first "dropped"))
  (export "through1" (func $user1 "through"))
  (export "through2" (func $user2 "through"))
  (export "raw-get1" (func $user1 "raw-get"))
  (export "raw-make1" (func $user1 "raw-make"))
  (export "raw-drop1" (func $user1 "raw-drop"))
  (export "raw-get2" (func $user2 "raw-get"))
  (alias export $all "thing" (type $first-thing))
  (export "use1" (func $user1 "use")
    (func (param "t" (borrow $first-thing)) (result u32)))
)
