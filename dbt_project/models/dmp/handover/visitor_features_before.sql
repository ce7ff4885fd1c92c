-- What was known when the test of look-alikes over time begins.

{{ visitor_features_until(lookalike_test_day()) }}
