#!/usr/bin/env escript
%%! +S 1:1 +SDio 1 +A 1
%% Runs programs of the differential test on Erlang and prints their traces: the same as driver.cc
%% and interpreter.cc do on greenroom.
%%
%%   escript interpreter.erl PROGRAMS TRACE
%%
%% One scheduler: what an exiting process still has to send is then sent before the driver looks.
-module(interpreter).
-mode(compile).
-export([main/1]).

main([Programs, Trace]) ->
    logger:set_primary_config(level, none),
    {ok, Text} = file:read_file(Programs),
    {ok, Out} = file:open(Trace, [write, raw, delayed_write]),
    ets:new(actors, [named_table, public]),
    ets:new(monitors, [named_table, public]),
    ets:new(bodies, [named_table, public]),
    ets:new(log, [named_table, public, ordered_set]),
    put(out, Out),
    Lines = binary:split(Text, <<"\n">>, [global, trim_all]),
    lists:foreach(fun(Line) -> do_line(binary:split(Line, <<" ">>, [global, trim_all])) end, Lines),
    ok = file:close(Out).

print(Line) -> ok = file:write(get(out), [Line, $\n]).

%% ---- the driver ----
%% In its process dictionary: {monitor, Actor} and {ended, Actor}, {printed, What}.

do_line([<<"program">>, Seed]) ->
    print(["program ", Seed]),
    put(driver, self());
do_line([<<"actors">> | Actors]) ->
    lists:foreach(fun start_actor/1, Actors);
do_line([<<"body">>, Name, <<":">> | Words]) ->
    ets:insert(bodies, {Name, commands(Words)});
do_line([<<"step">> | Words]) ->
    run_step(batches(Words));
do_line([<<"end">>]) ->
    Actors = all_actors(),
    [exit(Pid, kill) || {_, _, Pid} <- Actors],
    [await_end(Actor) || {_, Actor, _} <- Actors],
    print("end"),
    [ets:delete_all_objects(Table) || Table <- [actors, monitors, bodies, log]],
    Out = get(out),
    erase(),
    put(out, Out).

start_actor(Actor) ->
    Driver = self(),
    Pid = spawn(fun() -> interpret(Driver, Actor, []) end),
    bind_actor(Actor, Pid),
    put({monitor, Actor}, monitor(process, Pid)),
    print([Actor, " is ", pid_to_list(Pid)]).

%% Words of a step: a list of {Actor, Commands}.
batches([Actor, <<":">> | Words]) ->
    case lists:splitwith(fun(Word) -> Word =/= <<"&">> end, Words) of
        {Mine, [_ | Others]} -> [{Actor, commands(Mine)} | batches(Others)];
        {Mine, []} -> [{Actor, commands(Mine)}]
    end.

commands(Words) -> split(Words, [], []).

split([], Last, Commands) -> lists:reverse([lists:reverse(Last) | Commands]);
split([<<";">> | Words], Last, Commands) -> split(Words, [], [lists:reverse(Last) | Commands]);
split([Word | Words], Last, Commands) -> split(Words, [Word | Last], Commands).

run_step(Batches) ->
    Working = [Actor || {Actor, Commands} <- Batches, start_batch(Actor, Commands)],
    lists:foreach(fun await_done/1, Working),
    settle([], 0),
    print_step(),
    [Pid ! mark || {_, Actor, Pid} <- all_actors(), get({ended, Actor}) =:= undefined].

start_batch(Actor, Commands) ->
    case {pid_of(Actor), get({ended, Actor})} of
        {{ok, Pid}, undefined} ->
            Pid ! {work, Commands},
            true;
        _ ->
            false
    end.

await_done(Actor) ->
    Ref = get({monitor, Actor}),
    receive
        {done, Actor} -> ok;
        {'DOWN', Ref, process, _, Reason} -> put({ended, Actor}, Reason)
    end.

await_end(Actor) ->
    Ref = get({monitor, Actor}),
    case get({ended, Actor}) of
        undefined -> receive {'DOWN', Ref, process, _, Reason} -> put({ended, Actor}, Reason) end;
        _ -> ok
    end.

%% Until everything looked the same three times: each look is a round trip to every actor, so it
%% makes the signals that were under way arrive; what they cause is seen by the next one.
settle(_, 3) ->
    lists:foreach(fun watch/1, all_actors());
settle(Before, Same) ->
    erlang:yield(),
    All = all_actors(),
    Now = [{Pid, look(Pid)} || {_, _, Pid} <- All],
    IsBusy = lists:any(fun({_, {Status, _}}) -> Status =/= waiting; (_) -> false end, Now),
    settle(Now, if Now =:= Before, not IsBusy -> Same + 1; true -> 0 end).

look(Pid) ->
    case process_info(Pid, [status, links, monitors, trap_exit, message_queue_len]) of
        undefined -> ended;
        [{status, Status} | Info] -> {Status, Info}
    end.

watch({_, Actor, Pid}) ->
    get({monitor, Actor}) =:= undefined andalso put({monitor, Actor}, monitor(process, Pid)),
    case look(Pid) of
        ended -> await_end(Actor);
        _ -> ok
    end.

%% What the actors did, what has changed, and who has which name.
print_step() ->
    print("step"),
    lists:foreach(fun({_, Line}) -> print(Line) end, ets:tab2list(log)),
    ets:delete_all_objects(log),
    All = all_actors(),
    lists:foreach(fun({_, Actor, Pid}) -> print_change(Actor, state(Actor, Pid, All)) end, All),
    lists:foreach(
        fun(Name) ->
            get({printed, Name}) =:= undefined andalso put({printed, Name}, "nobody"),
            print_change(Name, name_text(whereis(binary_to_atom(Name))))
        end,
        [<<"n0">>, <<"n1">>, <<"n2">>]).

print_change(What, Text) ->
    case get({printed, What}) of
        Text -> ok;
        _ -> put({printed, What}, Text), print(["= ", What, " ", Text])
    end.

state(Actor, Pid, All) ->
    case look(Pid) of
        ended ->
            "ended " ++ reason_text(get({ended, Actor}));
        {_, [{_, Links}, {_, Monitors}, {_, Traps}, {_, Mail}]} ->
            Peers = [[" ", Peer] || {_, Peer, P} <- All, lists:member(P, Links)],
            Text = io_lib:format("links~s of ~w, monitors ~w, traps ~w, mail ~w",
                                 [Peers, length(Links), length(Monitors), Traps, Mail]),
            lists:flatten(Text)
    end.

%% ---- what the actors share ----

number_of(<<_, Digits/binary>>) -> binary_to_integer(Digits).

bind_actor(Actor, Pid) -> ets:insert(actors, {number_of(Actor), Actor, Pid}).
all_actors() -> lists:sort(ets:tab2list(actors)).
pid_of(Actor) ->
    case ets:lookup(actors, number_of(Actor)) of
        [{_, _, Pid}] -> {ok, Pid};
        [] -> none
    end.

log(Text) ->
    {Me, Count} = get(me),
    put(me, {Me, Count + 1}),
    ets:insert(log, {{number_of(Me), Count}, [Me, " ", Text]}).

%% ---- text ----

name_text(undefined) -> "nobody";
name_text(Pid) -> pid_to_list(Pid).

%% An exception has a stack, as greenroom's `error` has.
reason_text({boom, [_ | _]}) -> "error";
reason_text({Reason, Detail}) -> lists:flatten(io_lib:format("~w(~w)", [Reason, Detail]));
reason_text(Reason) -> atom_to_list(Reason).

reason_of(Text) ->
    case binary:split(Text, [<<"(">>, <<")">>], [global, trim_all]) of
        [Reason] -> binary_to_atom(Reason);
        [Reason, Detail] -> {binary_to_atom(Reason), binary_to_integer(Detail)}
    end.

item(mark) -> "|";
item({text, From, Text}) -> [pid_to_list(From), " ", Text];
item({'EXIT', From, Reason}) -> [pid_to_list(From), " EXIT ", reason_text(Reason)];
item({'DOWN', Ref, process, Object, Reason}) ->
    From = case Object of
               {_, _} -> name_text(get({named, Ref}));
               _ -> pid_to_list(Object)
           end,
    [From, " DOWN ", ref_to_list(Ref), " ", reason_text(Reason)].

%% ---- an actor ----
%% In its process dictionary: me, {named, Ref} for monitors by name: greenroom's Down has the pid.

interpret(Driver, Me, First) ->
    put(me, {Me, 0}),
    put(driver, Driver),
    try
        work(First)
    catch
        throw:return -> ok
    end.

work(Commands) ->
    lists:foreach(fun do/1, Commands),
    receive
        {work, More} ->
            lists:foreach(fun do/1, More),
            {Me, _} = get(me),
            get(driver) ! {done, Me},
            work([])
    end.

do([Verb | Arguments] = Command) ->
    case resolve(Verb, Arguments) of
        skip -> result(Command, "skip");
        Values -> do(Verb, Values, Command)
    end.

%% Pids and references for their variables, atoms for names.
resolve(<<"spawn", _/binary>>, [Actor | Arguments]) ->
    [Actor | Arguments];
resolve(Verb, Arguments) ->
    Values = [value(Verb, Argument) || Argument <- Arguments],
    case lists:member(skip, Values) of
        true -> skip;
        false -> Values
    end.

value(_, <<"p", _/binary>> = Actor) ->
    case pid_of(Actor) of
        {ok, Pid} -> Pid;
        none -> skip
    end;
value(Verb, <<"r", _/binary>> = Ref) when Verb =:= <<"demonitor">>; Verb =:= <<"take_down">> ->
    case ets:lookup(monitors, Ref) of
        [{_, Value}] -> Value;
        [] -> skip
    end;
value(_, <<"n", Digit>>) ->
    binary_to_atom(<<"n", Digit>>);
value(_, Argument) ->
    Argument.

%% Commands without a result are logged before they act: they may be the actor's last.
before(Command) -> log(lists:join(" ", Command)).
result(Command, Result) -> log([lists:join(" ", Command), " -> ", Result]).

do(<<"trap">>, [On], Command) ->
    result(Command, atom_to_list(process_flag(trap_exit, On =:= <<"on">>)));
do(<<"link">>, [Pid], Command) ->
    before(Command),
    %% Without trapping OTP may raise an error where greenroom always sends the signal.
    try link(Pid) catch error:noproc -> exit(noproc) end;
do(<<"unlink">>, [Pid], Command) ->
    before(Command),
    unlink(Pid);
do(<<"monitor">>, [Pid, Variable], Command) ->
    Ref = monitor(process, Pid),
    ets:insert(monitors, {Variable, Ref}),
    result(Command, ref_to_list(Ref));
do(<<"monitor_name">>, [Name, Variable], Command) ->
    Target = whereis(Name),
    Ref = monitor(process, Name),
    put({named, Ref}, Target),
    ets:insert(monitors, {Variable, Ref}),
    result(Command, [ref_to_list(Ref), " of ", name_text(Target)]);
do(<<"demonitor">>, [Ref], Command) ->
    result(Command, atom_to_list(demonitor(Ref, [flush, info])));
do(<<"send">>, [Pid, Text], Command) ->
    before(Command),
    Pid ! {text, self(), Text};
do(<<"send_name">>, [Name, Text], Command) ->
    result(Command,
           try
               Name ! {text, self(), Text},
               "ok"
           catch error:badarg -> "badarg"
           end);
do(<<"exit">>, [Pid, <<"normal">>], Command) when Pid =:= self() ->
    before(Command),
    %% The quirk of exit(self(), normal): greenroom drops it, unless exits are trapped.
    {trap_exit, Traps} = process_info(self(), trap_exit),
    Traps andalso exit(Pid, normal);
do(<<"exit">>, [Pid, Reason], Command) ->
    before(Command),
    exit(Pid, reason_of(Reason));
do(<<"stop">>, [Reason], Command) ->
    before(Command),
    exit(reason_of(Reason));
do(<<"throw">>, [], Command) ->
    before(Command),
    error(boom);
do(<<"return">>, [], Command) ->
    before(Command),
    throw(return);
do(<<"spawn">>, [Actor | Body], Command) ->
    spawned(Actor, spawn(child(Actor, Body)), [], Command);
do(<<"spawn_link">>, [Actor | Body], Command) ->
    spawned(Actor, spawn_link(child(Actor, Body)), [], Command);
do(<<"spawn_monitor">>, [Actor, Variable | Body], Command) ->
    {Pid, Ref} = spawn_monitor(child(Actor, Body)),
    ets:insert(monitors, {Variable, Ref}),
    spawned(Actor, Pid, [" ", ref_to_list(Ref)], Command);
do(<<"register">>, [Name, Pid], Command) ->
    %% A process has one name at most, a greenroom actor may have several: not compared.
    result(Command,
           case process_info(Pid, registered_name) of
               {registered_name, _} -> "has a name";
               _ -> try atom_to_list(register(Name, Pid)) catch error:badarg -> "badarg" end
           end);
do(<<"unregister">>, [Name], Command) ->
    result(Command, try atom_to_list(unregister(Name)) catch error:badarg -> "badarg" end);
do(<<"whereis">>, [Name], Command) ->
    result(Command, name_text(whereis(Name)));
do(<<"alive">>, [Pid], Command) ->
    result(Command, atom_to_list(is_process_alive(Pid)));
do(<<"take">>, [Pid], Command) ->
    result(Command,
           receive
               {text, Pid, _} = Message -> item(Message);
               {'EXIT', Pid, _} = Message -> item(Message)
           after 0 -> "nothing"
           end);
do(<<"take_down">>, [Ref], Command) ->
    result(Command,
           receive {'DOWN', Ref, _, _, _} = Message -> item(Message)
           after 0 -> "nothing"
           end);
do(<<"flush">>, [], Command) ->
    result(Command,
           case flush() of
               [] -> "nothing";
               Items -> lists:join(" ; ", Items)
           end).

flush() ->
    receive
        {work, _} = Work -> error({work_while_working, Work});
        Message -> [item(Message) | flush()]
    after 0 -> []
    end.

child(Actor, Body) ->
    Driver = get(driver),
    First = case Body of
                [] -> [];
                [Name] -> ets:lookup_element(bodies, Name, 2)
            end,
    fun() ->
        bind_actor(Actor, self()),
        interpret(Driver, Actor, First)
    end.

spawned(Actor, Pid, More, Command) ->
    bind_actor(Actor, Pid),
    result(Command, [pid_to_list(Pid), More]).
