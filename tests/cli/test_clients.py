"""The servers that the command line starts, and the demo."""


def test_a_server_for_an_unknown_agent_says_so_and_leaves_stdout_alone(cli):
    ended = cli("mcp", "--agent", "nobody")
    assert (ended.status, ended.code, ended.stdout) == (3, "no_key", "")


def test_the_demo_is_run(cli, monkeypatch):
    from memstore import demo

    ran = []
    monkeypatch.setattr(demo, "run", lambda: ran.append(True))
    assert cli("demo").status == 0
    assert ran == [True]
