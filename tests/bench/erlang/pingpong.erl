%% SPDX-License-Identifier: Apache-2.0
%% The yardstick for message passing: the same exchanges on Erlang/OTP.
%%
%%   erlc pingpong.erl && erl -noshell -s pingpong main
%%
%% Prints one line per measure: name, number, unit. "chained" adds what a hash chain costs at least:
%% one SHA-256 over the previous hash and 300 bytes per message, made by the receiver.
-module(pingpong).
-behaviour(gen_server).
-export([main/0, init/1, handle_call/3, handle_cast/2]).

-define(ROUND_TRIPS, 200000).
-define(MESSAGES, 1000000).
-define(WINDOW, 1000).

main() ->
    {ok, _} = application:ensure_all_started(crypto),
    report("erlang-request-p50", median(3, fun round_trip_p50/0), "ns"),
    report("erlang-send", median(3, fun() -> one_way(fun plain/1) end), "messages/s"),
    report("erlang-send-chained", median(3, fun() -> one_way(fun chained/1) end), "messages/s"),
    halt(0).

report(Name, Value, Unit) ->
    io:format("~-24s ~12b ~s~n", [Name, round(Value), Unit]).

median(Runs, Measure) ->
    Sorted = lists:sort([Measure() || _ <- lists:seq(1, Runs)]),
    lists:nth((Runs + 1) div 2, Sorted).

%% ---- a request and its reply ----

init(none) -> {ok, 0}.
handle_call(Message, _From, Count) -> {reply, Message, Count + 1}.
handle_cast(_Message, Count) -> {noreply, Count}.

round_trip_p50() ->
    {ok, Server} = gen_server:start_link(?MODULE, none, []),
    Times = [call_time(Server) || _ <- lists:seq(1, ?ROUND_TRIPS)],
    gen_server:stop(Server),
    lists:nth(?ROUND_TRIPS div 2, lists:sort(Times)).

call_time(Server) ->
    Start = erlang:monotonic_time(nanosecond),
    <<"ping">> = gen_server:call(Server, <<"ping">>),
    erlang:monotonic_time(nanosecond) - Start.

%% ---- one-way messages between two processes ----
%% The sender never has more than two windows on the way, as a bounded mailbox would allow.

one_way(Work) ->
    Sender = self(),
    Receiver = spawn_link(fun() -> receive_all(Sender, Work, <<0:256>>, 0) end),
    Start = erlang:monotonic_time(nanosecond),
    send_all(Receiver, binary:copy(<<"x">>, 300), ?MESSAGES, 2),
    receive {Receiver, done} -> ok end,
    ?MESSAGES * 1.0e9 / (erlang:monotonic_time(nanosecond) - Start).

send_all(_Receiver, _Payload, 0, _Credit) ->
    ok;
send_all(Receiver, Payload, Left, 0) ->
    receive {Receiver, window} -> send_all(Receiver, Payload, Left, 1) end;
send_all(Receiver, Payload, Left, Credit) ->
    send_window(Receiver, Payload, ?WINDOW),
    send_all(Receiver, Payload, Left - ?WINDOW, Credit - 1).

send_window(_Receiver, _Payload, 0) ->
    ok;
send_window(Receiver, Payload, Left) ->
    Receiver ! {message, Payload},
    send_window(Receiver, Payload, Left - 1).

receive_all(Sender, _Work, _Head, ?MESSAGES) ->
    Sender ! {self(), done};
receive_all(Sender, Work, Head, Count) ->
    receive
        {message, Payload} ->
            Next = Work({Head, Payload}),
            (Count + 1) rem ?WINDOW =:= 0 andalso (Sender ! {self(), window}),
            receive_all(Sender, Work, Next, Count + 1)
    end.

plain({Head, _Payload}) -> Head.
chained({Head, Payload}) -> crypto:hash(sha256, [Head, Payload]).
