def test_models_are_listed(default):
    answer = default.ask("GET", "/v1/models")
    assert answer.status == 200
    assert answer["content-type"] == "application/json"
    assert {"gpt-4o", "claude-sonnet-4-5"} <= {one["id"] for one in answer.json()["data"]}
