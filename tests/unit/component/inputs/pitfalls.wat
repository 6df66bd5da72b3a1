;; SPDX-License-Identifier: Apache-2.0
;; What ../pitfalls_test.c needs and hostile.wat does not have:
;;   far-*              the memory has more than 2 GiB, and realloc answers with an address beyond them
;;   drop, new, rep     built-ins of resources, exported as they are
;;   note-itself        an imported function, lowered and lifted again
;;   steal              gives the handle that it was lent to a function that takes it for good
;;   of-256, list-256   an enum with as many cases as one byte has
;;   set, pass          a component calls another, whose realloc does what `set` said: 0 is honest,
;;                      1 calls an import, 2 makes a resource, 3 never ends, 4 drops a resource
(component
  (import "note" (func $note))
  (import "loan" (type $loan (sub resource)))
  (import "take" (func $take-loan (param "loan" (own $loan))))
  (core func $note' (canon lower (func $note)))
  (core func $take-loan' (canon lower (func $take-loan)))

  (core module $Far
    (memory (export "memory") 40000)
    (global $at (mut i32) (i32.const 0))
    (func (export "poke") (param i32 i32) (i32.store8 (local.get 0) (local.get 1)))
    (func (export "peek") (param i32) (result i32) (i32.load8_u (local.get 0)))
    (func (export "give") (param i32 i32) (result i32)
      (i32.store (i32.const 0x98000000) (local.get 0))
      (i32.store (i32.const 0x98000004) (local.get 1))
      (i32.const 0x98000000))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 0x90000000))
    (func (export "take") (param i32 i32) (global.set $at (local.get 0)))
    (func (export "at") (result i32) (global.get $at))
    (func (export "same") (param i32) (result i32) (local.get 0)))
  (core instance $far (instantiate $Far))
  (alias core export $far "memory" (core memory $m))
  (alias core export $far "realloc" (core func $realloc))
  (func (export "far-poke") (param "at" u32) (param "byte" u32) (canon lift (core func $far "poke")))
  (func (export "far-peek") (param "at" u32) (result u32) (canon lift (core func $far "peek")))
  (func (export "far-at") (result u32) (canon lift (core func $far "at")))
  (func (export "far-give") (param "at" u32) (param "length" u32) (result string)
    (canon lift (core func $far "give") (memory $m)))
  (func (export "far-list") (param "at" u32) (param "length" u32) (result (list u64))
    (canon lift (core func $far "give") (memory $m)))
  (func (export "far-take") (param "s" string)
    (canon lift (core func $far "take") (memory $m) (realloc $realloc)))

  (type $thing (resource (rep i32)))
  (core func $drop (canon resource.drop $thing))
  (core func $new (canon resource.new $thing))
  (core func $rep (canon resource.rep $thing))
  (func (export "drop") (param "handle" u32) (canon lift (core func $drop)))
  (func (export "new") (param "rep" u32) (result u32) (canon lift (core func $new)))
  (func (export "rep") (param "handle" u32) (result u32) (canon lift (core func $rep)))
  (func (export "steal") (param "loan" (borrow $loan)) (canon lift (core func $take-loan')))
  (func (export "note-itself") (canon lift (core func $note')))

  (type $many (enum
    "l0" "l1" "l2" "l3" "l4" "l5" "l6" "l7" "l8" "l9" "l10" "l11" "l12" "l13" "l14" "l15" "l16"
    "l17" "l18" "l19" "l20" "l21" "l22" "l23" "l24" "l25" "l26" "l27" "l28" "l29" "l30" "l31"
    "l32" "l33" "l34" "l35" "l36" "l37" "l38" "l39" "l40" "l41" "l42" "l43" "l44" "l45" "l46"
    "l47" "l48" "l49" "l50" "l51" "l52" "l53" "l54" "l55" "l56" "l57" "l58" "l59" "l60" "l61"
    "l62" "l63" "l64" "l65" "l66" "l67" "l68" "l69" "l70" "l71" "l72" "l73" "l74" "l75" "l76"
    "l77" "l78" "l79" "l80" "l81" "l82" "l83" "l84" "l85" "l86" "l87" "l88" "l89" "l90" "l91"
    "l92" "l93" "l94" "l95" "l96" "l97" "l98" "l99" "l100" "l101" "l102" "l103" "l104" "l105"
    "l106" "l107" "l108" "l109" "l110" "l111" "l112" "l113" "l114" "l115" "l116" "l117" "l118"
    "l119" "l120" "l121" "l122" "l123" "l124" "l125" "l126" "l127" "l128" "l129" "l130" "l131"
    "l132" "l133" "l134" "l135" "l136" "l137" "l138" "l139" "l140" "l141" "l142" "l143" "l144"
    "l145" "l146" "l147" "l148" "l149" "l150" "l151" "l152" "l153" "l154" "l155" "l156" "l157"
    "l158" "l159" "l160" "l161" "l162" "l163" "l164" "l165" "l166" "l167" "l168" "l169" "l170"
    "l171" "l172" "l173" "l174" "l175" "l176" "l177" "l178" "l179" "l180" "l181" "l182" "l183"
    "l184" "l185" "l186" "l187" "l188" "l189" "l190" "l191" "l192" "l193" "l194" "l195" "l196"
    "l197" "l198" "l199" "l200" "l201" "l202" "l203" "l204" "l205" "l206" "l207" "l208" "l209"
    "l210" "l211" "l212" "l213" "l214" "l215" "l216" "l217" "l218" "l219" "l220" "l221" "l222"
    "l223" "l224" "l225" "l226" "l227" "l228" "l229" "l230" "l231" "l232" "l233" "l234" "l235"
    "l236" "l237" "l238" "l239" "l240" "l241" "l242" "l243" "l244" "l245" "l246" "l247" "l248"
    "l249" "l250" "l251" "l252" "l253" "l254" "l255"))
  (export $many' "many" (type $many))
  (func (export "of-256") (param "case" u32) (result $many') (canon lift (core func $far "same")))
  (func (export "list-256") (param "at" u32) (param "length" u32) (result (list $many'))
    (canon lift (core func $far "give") (memory $m)))

  (component $Callee
    (import "note" (func $note))
    (type $thing (resource (rep i32)))
    (core func $note' (canon lower (func $note)))
    (core func $new (canon resource.new $thing))
    (core func $drop (canon resource.drop $thing))
    (core module $M
      (import "" "note" (func $note))
      (import "" "new" (func $new (param i32) (result i32)))
      (import "" "drop" (func $drop (param i32)))
      (memory (export "memory") 1)
      (global $mode (mut i32) (i32.const 0))
      (global $thing (mut i32) (i32.const 0))
      (func (export "set") (param i32)
        (global.set $mode (local.get 0))
        (global.set $thing (call $new (i32.const 7))))
      (func (export "realloc") (param i32 i32 i32 i32) (result i32)
        (if (i32.eq (global.get $mode) (i32.const 1)) (then (call $note)))
        (if (i32.eq (global.get $mode) (i32.const 2)) (then (drop (call $new (i32.const 1)))))
        (if (i32.eq (global.get $mode) (i32.const 3)) (then (loop $on (br $on))))
        (if (i32.eq (global.get $mode) (i32.const 4)) (then (call $drop (global.get $thing))))
        (i32.const 256))
      (func (export "take") (param i32 i32) (result i32) (i32.load8_u (local.get 0))))
    (core instance $i (instantiate $M (with "" (instance
      (export "note" (func $note')) (export "new" (func $new)) (export "drop" (func $drop))))))
    (func (export "set") (param "mode" u32) (canon lift (core func $i "set")))
    (func (export "take") (param "s" string) (result u32)
      (canon lift (core func $i "take") (memory (core memory $i "memory"))
                  (realloc (core func $i "realloc")))))
  (instance $callee (instantiate $Callee (with "note" (func $note))))
  (component $Caller
    (import "take" (func $take (param "s" string) (result u32)))
    (core module $Memory (memory (export "memory") 1) (data (i32.const 16) "text"))
    (core instance $memory (instantiate $Memory))
    (alias core export $memory "memory" (core memory $m))
    (core func $take' (canon lower (func $take) (memory $m)))
    (core module $M
      (import "" "take" (func $take (param i32 i32) (result i32)))
      (func (export "pass") (result i32) (call $take (i32.const 16) (i32.const 4))))
    (core instance $i (instantiate $M (with "" (instance (export "take" (func $take'))))))
    (func (export "pass") (result u32) (canon lift (core func $i "pass"))))
  (instance $caller (instantiate $Caller (with "take" (func $callee "take"))))
  (export "pass" (func $caller "pass"))
  (export "set" (func $callee "set")))
